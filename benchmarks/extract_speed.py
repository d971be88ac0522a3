"""Measure extraction on one core: parse alone, extract, and settling a repository.

    python benchmarks/extract_speed.py FOLDER...

Each figure is the best of three runs in CPU seconds, in MB of source for each second; memory is
that of all FileFacts together.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from graph_builder.entities import FileFacts, Reference, Triple
from graph_builder.extract import extract
from graph_builder.extract_syntax import parse
from graph_builder.modules import module_name
from graph_builder.relations import INSTANTIATES
from graph_builder.repository import Repository
from graph_builder.source_text import Rejected, SourceText, decode_source

NUM_RUNS = 3


def read(folder: Path) -> dict[str, SourceText]:
    sources: dict[str, SourceText] = {}
    for path in sorted(folder.rglob("*.py")):
        try:
            sources[str(path.relative_to(folder.parent))] = decode_source(path.read_bytes())
        except Rejected:
            continue
    return sources


def best_s(work: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(NUM_RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(folder: Path) -> None:
    sources = read(folder)
    megabytes = sum(len(source.data) for source in sources.values()) / 1e6
    modules = {path: module_name(path, sources.keys()) for path in sources}

    def run_extract() -> list[FileFacts]:
        return [extract(path, modules[path], source) for path, source in sources.items()]

    facts = run_extract()
    rows = {
        "parse": best_s(lambda: [parse(source.utf8) for source in sources.values()]),
        "extract (with parse)": best_s(run_extract),
        "triples": best_s(lambda: all_triples(Repository(facts))),
        "references": best_s(lambda: all_references(Repository(facts))),
    }
    print(f"{folder.name}: {len(sources)} files, {megabytes:.1f} MB")
    for name, seconds in rows.items():
        print(f"  {name}: {megabytes / seconds:.1f} MB/s ({1e3 * seconds / megabytes:.0f} ms/MB)")
    tracemalloc.start()
    kept = run_extract()
    print(f"  facts: {tracemalloc.get_traced_memory()[0] / 1e6 / megabytes:.1f} MB for each MB")
    tracemalloc.stop()
    triples = all_triples(Repository(kept))
    instantiations = [each for each in triples if each.relation == INSTANTIATES]
    num_guesses = sum(each.is_guess for each in instantiations)
    print(f"  instantiates: {len(instantiations)}, {num_guesses} of them guesses")


def all_triples(repository: Repository) -> list[Triple]:
    return [each for facts in repository.files for each in repository.triples(facts.path)]


def all_references(repository: Repository) -> list[Reference]:
    return [each for facts in repository.files for each in repository.references(facts.path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    for folder in parser.parse_args().folders:
        measure(folder)


if __name__ == "__main__":
    main()
