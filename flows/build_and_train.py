"""`python -m flows.build_and_train` (`make build-and-train`): the whole job, with no server.

Runs the flow of pipeline.py on the embedded default or on the sources given, and ends with a
summary whose numbers are read back from MLflow.
"""

import argparse
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from flows import defaults, local_settings
from flows.mlflow_server import MlflowUnavailable, check_mlflow
from flows.parameters import checked_spec
from graph_builder.errors import UserError

PROGRAM = "build-and-train"


def main(argv: list[str] | None = None) -> int:
    """Run the flow from the command line and return the exit code."""
    parameters = vars(parse_arguments(argv))
    try:
        check_sources(parameters)
        check_mlflow()
    except UserError as error:
        return fail(str(error), getattr(error, "code", 2))
    return run(parameters)


def check_sources(parameters: dict[str, Any]) -> None:
    """Refuse an unknown kind of source at once; the flow would, some seconds later."""
    for name in ("train", "validation", "test", "add_sources"):
        for spec in parameters.get(name, ()):
            checked_spec(spec)


def run(parameters: dict[str, Any]) -> int:
    """Run the flow, print the summary and return the exit code."""
    local_settings.apply()  # before prefect is imported
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from prefect.exceptions import ParameterTypeError  # noqa: PLC0415

    from flows.child_process import CommandFailed  # noqa: PLC0415
    from flows.pipeline import build_and_train  # noqa: PLC0415
    from flows.summary import format_summary, read_summary  # noqa: PLC0415

    signal.signal(signal.SIGTERM, interrupt)
    try:
        build_and_train.validate_parameters(parameters)  # before a server is started for the run
        result = build_and_train(**parameters)
    except ParameterTypeError as error:
        return fail(str(error), 2)
    except (CommandFailed, UserError) as error:
        return fail(str(error), getattr(error, "code", 2))
    except MlflowException as error:  # it went away since the run began
        return fail(f"MLflow: {error}", MlflowUnavailable.code)
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    print(format_summary(read_summary(result.run_id, result.registration.version)))
    return 0


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Take SIGTERM as Ctrl-C: children and the MLflow run are ended before this process."""
    raise KeyboardInterrupt


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return what was given as arguments; the flow has a default for all else."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Build a data set, train, evaluate and register a GraphMERT model.",
        argument_default=argparse.SUPPRESS,
    )
    specs: dict[str, Any] = {"nargs": "+", "metavar": "SPEC"}
    parser.add_argument("--train", **specs, help="sources to train on, e.g. path:/my/repository")
    parser.add_argument("--validation", **specs, help="sources for every choice and the gate")
    parser.add_argument("--test", **specs, help="sources for final tables only")
    parser.add_argument("--add_sources", **specs, help="sources that extend the last data set")
    parser.add_argument(
        "--start_from",
        choices=("scratch", "champion"),
        help="first weights (default: the champion's with --add_sources, else random ones)",
    )
    parser.add_argument(
        "--time_limit_s", type=float, metavar="S", help="seconds after which training is stopped"
    )
    for name, kind, default, text in (
        ("vocab_size", int, defaults.VOCAB_SIZE, "token ids of the tokenizer"),
        ("preset", str, defaults.PRESET, "size of the model: tiny, small, paper or codebert"),
        ("num_epochs", int, defaults.NUM_EPOCHS, "passes over the training windows"),
        ("batch_size", int, defaults.BATCH_SIZE, "windows of one update"),
        ("learning_rate", float, defaults.LEARNING_RATE, "highest rate of the schedule"),
        ("lambda_mlm", float, defaults.MLM_WEIGHT, "weight of the MLM loss; MNM has the rest"),
        ("seed", int, defaults.SEED, "of first weights, order and masks"),
        ("data_dir", str, "data", "folder that holds the data sets"),
        ("runs_dir", str, "runs", "folder that holds checkpoints and reports"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=f"{text} (default: {default})")
    return parser.parse_args(argv)


def fail(message: str, code: int) -> int:
    """Say in one line what went wrong; return the exit code."""
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
