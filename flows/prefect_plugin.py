"""What every `prefect` command of this environment does first, where `prefect.toml` enables it.

Prefect loads it by the entry point `graphmert` of the group `prefect.plugins`. It lets the short
form of a deployment's name stand for the full one, and leads a command to the server that
`make services` started, unless PREFECT_API_URL or the active profile name another.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prefect.plugins import HookContext, SetupResult, register_hook

from flows.service_process import read_service
from flows.services_folder import services_folder

RUN = ("deployment", "run")
FLAGS = ("--watch", "--no-watch", "--help")  # options of `run` that take no value


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Complete the command line; return where the services are."""
    if Path(sys.argv[0]).name == "prefect":
        sys.argv[1:] = with_full_name(sys.argv[1:])
    if ctx.api_url or "PREFECT_API_URL" in os.environ:
        return None
    server = read_service(services_folder(), "prefect")
    return None if server is None else SetupResult(env={"PREFECT_API_URL": server.url})


def with_full_name(arguments: Sequence[str]) -> list[str]:
    """Return `deployment run NAME` as `deployment run NAME/NAME`, all else as it is."""
    full = list(arguments)
    start = next((i for i in range(len(full)) if tuple(full[i : i + 2]) == RUN), None)
    if start is None:
        return full
    index = start + len(RUN)
    while index < len(full):
        word = full[index]
        if not word.startswith("-"):
            full[index] = word if "/" in word else f"{word}/{word}"
            break
        index += 1 if word in FLAGS or "=" in word else 2
    return full
