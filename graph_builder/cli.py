"""The command line of the data side.

    graph-builder build --train installed:networkx stdlib --output data/code
    graph-builder triples FILE...
    graph-builder inspect DATASET --window 12
    graph-builder stats DATASET --html stats.html
    graph-builder graph path:src --output graph.graphml
    graph-builder export DATASET OUTPUT

Exit status: 0 done, 1 some input was left out or the work broke off, 2 bad input, 69 a source
could not be fetched (trying again may help), 130 interrupted.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tqdm import tqdm

from graph_builder.build import build_dataset
from graph_builder.build_settings import DEFAULT_VOCAB_SIZE, BuildSettings
from graph_builder.cache_dir import default_cache_dir
from graph_builder.dataset import open_dataset
from graph_builder.errors import SourceUnavailable, UserError
from graph_builder.source_repository import read_repository
from graph_builder.source_spec import FORMS, parse_spec
from graph_builder.sources import resolve
from graph_builder.summary import summary_lines
from graph_builder.triple_lines import triple_lines
from graph_builder.window_view import window_view
from graph_builder.workers import RunTasks, WorkerDied

OK: Final = 0
REJECTED: Final = 1
BAD_INPUT: Final = 2
UNAVAILABLE: Final = 69
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None, run_tasks: RunTasks | None = None) -> int:
    """Run one command and return the exit status; errors are one line on standard error.

    run_tasks: see `build_dataset`.
    """
    options = _parser().parse_args(arguments)
    options.run_tasks = run_tasks
    if isinstance(sys.stdout, io.TextIOWrapper):  # JSON Lines are UTF-8, whatever the terminal is
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except SourceUnavailable as error:
        return _fail(str(error), UNAVAILABLE)
    except UserError as error:
        return _fail(str(error), BAD_INPUT)
    except BrokenPipeError:
        # The reader of our output has seen enough; Python must not flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REJECTED
    except KeyboardInterrupt:
        return _fail("interrupted: run it again to go on", INTERRUPTED)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(f"{what}: nothing was finished", REJECTED)


def _build(options: argparse.Namespace) -> int:
    settings = BuildSettings(
        output=options.output,
        train=tuple(options.train),
        validation=tuple(options.validation),
        test=tuple(options.test),
        sources=tuple(options.source),
        tokenizer=options.tokenizer,
        vocab_size=options.vocab_size,
        leaves=options.leaves,
        max_knowledge_leaves=options.max_knowledge_leaves,
        num_processes=options.num_processes,
        cache_dir=options.cache_dir,
    )
    try:
        summary = build_dataset(settings, _say, options.run_tasks)
    except WorkerDied as error:
        return _fail(f"{error} run it again to go on, with fewer --num_processes", REJECTED)
    lines = summary_lines(settings.output, summary.dataset.manifest, summary.is_reused)
    print("\n".join(lines))
    return OK


def _triples(options: argparse.Namespace) -> int:
    rejected: list[str] = []
    for line in triple_lines(options.files, rejected.append):
        print(line)
    for reason in rejected:
        _say(reason)
    return REJECTED if rejected else OK


def _inspect(options: argparse.Namespace) -> int:
    print(window_view(open_dataset(options.dataset), options.split, options.window))
    return OK


def _stats(options: argparse.Namespace) -> int:
    from graph_builder.stats import Statistics  # noqa: PLC0415 (pandas, for this alone)

    statistics = Statistics(open_dataset(options.dataset))
    if options.html is not None:
        from graph_builder.stats_page import write_page  # noqa: PLC0415 (matplotlib, for this)

        write_page(statistics, options.html)
        _say(f"wrote {options.html}")
    print(statistics.text())
    return OK


def _graph(options: argparse.Namespace) -> int:
    from graph_builder.graph_export import (  # noqa: PLC0415 (networkx, for this alone)
        check_graph_output,
        graph_tables,
        write_graph,
    )

    check_graph_output(options.output)
    source = resolve(parse_spec(options.source), options.cache_dir)
    repository, rejected = read_repository(source)
    tables = graph_tables(repository)
    for path in write_graph(tables, options.output):
        print(path)
    _say(f"{source.label}: {tables.nodes.num_rows:,} nodes, {tables.edges.num_rows:,} edges")
    for file, reason, detail in rejected:
        _say(f"{source.label}: {file}: left out, {reason}: {detail}")
    return REJECTED if rejected else OK


def _export(options: argparse.Namespace) -> int:
    from graph_builder.export_pt import export_pt  # noqa: PLC0415 (torch, for this alone)

    for path in export_pt(open_dataset(options.dataset), options.output):
        print(path)
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graph-builder", description="From Python repositories to data sets of chain graphs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(commands)
    triples = _add(commands, "triples", _triples, "print the triples of files as JSON Lines")
    triples.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="together: one repository"
    )
    inspect = _add(commands, "inspect", _inspect, "show one window of a data set")
    inspect.add_argument("dataset", type=Path, metavar="DATASET")
    inspect.add_argument("--window", type=int, default=0, metavar="N", help="counted from 0")
    inspect.add_argument("--split", default="train", help="train, validation or test")
    stats = _add(commands, "stats", _stats, "show the statistics of a data set")
    stats.add_argument("dataset", type=Path, metavar="DATASET")
    stats.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots too")
    graph = _add(commands, "graph", _graph, "export the graph of one source, its names resolved")
    graph.add_argument("source", metavar="SPEC", help=FORMS)
    graph.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="FILE.graphml, or a new folder for nodes.parquet and edges.parquet",
    )
    _add_cache_dir(graph)
    export = _add(commands, "export", _export, "write a data set as .pt files of dense tensors")
    export.add_argument("dataset", type=Path, metavar="DATASET")
    export.add_argument("output", type=Path, metavar="OUTPUT", help="new or empty folder")
    return parser


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    build = _add(commands, "build", _build, "build a data set, or extend or reuse the one there")
    sources = build.add_argument_group("sources", f"SPEC is {FORMS}")
    for name in ("train", "validation", "test"):
        sources.add_argument(
            f"--{name}", nargs="+", default=[], metavar="SPEC", help=f"sources of the {name} split"
        )
    sources.add_argument(
        "--source",
        nargs="+",
        default=[],
        metavar="SPEC",
        help="sources whose hash decides on the split (80%% train, 10%% validation, 10%% test)",
    )
    build.add_argument("--output", type=Path, required=True, metavar="DIR", help="the data set")
    build.add_argument(
        "--tokenizer", type=Path, metavar="PATH", help="use this one; else one is trained"
    )
    build.add_argument(
        "--vocab_size",
        type=_positive,
        default=DEFAULT_VOCAB_SIZE,
        metavar="N",
        help="tokens of the tokenizer that is trained (%(default)s)",
    )
    build.add_argument(
        "--leaves",
        choices=("local", "knowledge", "both"),
        default="both",
        help="which triples become leaves: the window's own, the repository's (%(default)s)",
    )
    build.add_argument(
        "--max_knowledge_leaves",
        type=_positive,
        default=BuildSettings.max_knowledge_leaves,
        metavar="N",
        help="leaves of knowledge in a window, at most (%(default)s)",
    )
    build.add_argument(
        "--num_processes",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="batches of files worked on at the same time (%(default)s)",
    )
    _add_cache_dir(build)


def _add_cache_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache_dir",
        type=Path,
        default=default_cache_dir(),
        metavar="DIR",
        help="fetched repositories and wheels (~/.cache/graph-builder)",
    )


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return int(text)


def _say(line: str) -> None:
    tqdm.write(f"graph-builder: {line}", file=sys.stderr)  # above the bar, where there is one


def _fail(message: str, status: int) -> int:
    _say(" ".join(message.split()))
    return status


if __name__ == "__main__":
    sys.exit(main())
