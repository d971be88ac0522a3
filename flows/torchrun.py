"""`python -m flows.torchrun N MODULE ARGUMENTS`: torchrun, ending as the process that failed first.

torchrun itself ends with 1 whatever its processes said; the flows tell "resume me" from "bad
input" by the exit code.
"""

import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run


def main(arguments: Sequence[str]) -> int:
    """Run a module in N processes on this machine and return the exit code."""
    num_processes, *module = arguments
    options = ["--standalone", "--nproc_per_node", num_processes, "-m", *module]
    try:
        run(parse_args(options))
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code >= 0 else 128 - code
    except SignalException as error:  # passed on to the processes, which have ended
        return 128 + error.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
