"""Measure the data side against its floors: ten packages, from files to a data set.

    python benchmarks/build_speed.py --work_dir data/build-speed

Floor A reads, parses (tree-sitter) and encodes (`tokenizers`, with offsets); floor B encodes with
the fastest encoder that gives the same ids. Both share the files and the tokenizer of the build.
Every measurement runs in a process of its own, one after the other, in rounds; figures are medians
of CPU seconds (of all processes together), so that other work on the machine matters little. Wall
seconds, for what two processes gain, mean something on a quiet machine only.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from tokenizers import Tokenizer

from graph_builder.build import build_dataset
from graph_builder.build_settings import BuildSettings
from graph_builder.extract_syntax import parse
from graph_builder.fast_encoder import fast_encoder
from graph_builder.source_files import read_files
from graph_builder.source_spec import parse_spec
from graph_builder.sources import ResolvedSource, resolve
from graph_builder.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from graph_builder.workers import task_runner

Task = TypeVar("Task")
Result = TypeVar("Result")

TRAIN = (
    "pypi:django==5.2.19",
    "pypi:numpy==2.4.6",
    "pypi:pandas==3.1.1",
    "pypi:scikit-learn==1.9.1",
    "pypi:pytest==9.2.0",
    "pypi:fastapi==0.165.0",
    "pypi:click==8.5.1",
)
VALIDATION = ("pypi:flask==3.1.3", "pypi:httpie==3.2.4")
TEST = ("pypi:requests==2.34.2",)
LARGEST = "pypi:pandas==3.1.1"
TOKENIZER_SOURCES = ("pypi:pytest==9.2.0", "pypi:fastapi==0.165.0", "pypi:click==8.5.1")
VOCAB_SIZE = 8192


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    def sources(self, specs: Sequence[str]) -> list[ResolvedSource]:
        return [resolve(parse_spec(spec), self.cache) for spec in specs]


def prepare(folder: Folder) -> int:
    """Fetch the packages and train the tokenizer, once; return the bytes of source."""
    sources = folder.sources((*TRAIN, *VALIDATION, *TEST))
    num_files = sum(len(source.files) for source in sources)
    num_bytes = sum(source.num_bytes for source in sources)
    print(f"{num_files:,} files, {num_bytes / 1e6:.1f} MB")
    if not folder.tokenizer.exists():
        some = folder.sources(TOKENIZER_SOURCES)
        texts = (t.text for s in some for t in read_files(s.root, s.files).texts.values())
        save_tokenizer(train_tokenizer(texts, VOCAB_SIZE), folder.tokenizer)
    return num_bytes


def floor_a(folder: Folder, encode: Callable[[Tokenizer, str], object] | None = None) -> None:
    """Read, parse and encode every file, with the library."""
    tokenizer = load_tokenizer(folder.tokenizer)
    for source in folder.sources((*TRAIN, *VALIDATION, *TEST)):
        for text in read_files(source.root, source.files).texts.values():
            parse(text.utf8)
            if encode is None:
                encoding = tokenizer.encode(text.text, add_special_tokens=False)
                _ = encoding.ids, encoding.offsets
            else:
                encode(tokenizer, text.text)


def floor_b(folder: Folder) -> None:
    fast = fast_encoder(load_tokenizer(folder.tokenizer))
    assert fast is not None
    floor_a(folder, lambda _, text: fast.encode(text))


def build(folder: Folder, num_processes: int) -> dict[str, float]:
    """Build the data set with nothing parsed before; return the CPU seconds of its stages."""
    output = folder.path / f"data-{num_processes}"
    shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(folder.cache / "parsed", ignore_errors=True)
    settings = BuildSettings(
        output,
        train=TRAIN,
        validation=VALIDATION,
        test=TEST,
        tokenizer=folder.tokenizer,
        num_processes=num_processes,
        cache_dir=folder.cache,
    )
    stages: dict[str, float] = {}

    started_at = cpu_s()
    with task_runner(num_processes) as run_tasks:

        def run(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator:
            started_at = cpu_s()
            yield from run_tasks(function, tasks)
            stages[function.__name__] = cpu_s() - started_at

        build_dataset(settings, run=run)
    stages["the rest"] = cpu_s() - started_at - sum(stages.values())
    return stages if num_processes == 1 else {}  # what others used is known at their end


MEASURED: dict[str, Callable[[Folder], dict[str, float] | None]] = {
    "floor A": floor_a,
    "floor B": floor_b,
    "one process": lambda folder: build(folder, 1),
    "two processes": lambda folder: build(folder, 2),
}


def cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name: str, folder: Folder) -> dict[str, Any]:
    """Run one measurement here; return its seconds, its stages and its memory."""
    cpu_before, wall_before = cpu_s(), time.perf_counter()
    stages = MEASURED[name](folder) or {}
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "cpu_s": cpu_s() - cpu_before,
        "wall_s": time.perf_counter() - wall_before,
        "main_mib": used[0].ru_maxrss / 1024,
        "worker_mib": used[1].ru_maxrss / 1024,  # of the largest of the others
        "stages": stages,
    }


def show(
    name: str, runs: Sequence[dict[str, Any]], num_bytes: int, floors: dict[str, float]
) -> None:
    """Print one measurement: medians over its runs, with the lowest and the highest."""
    cpu = sorted(run["cpu_s"] for run in runs)
    wall = median(run["wall_s"] for run in runs)
    ratios = ", ".join(f"{floor / median(cpu):.2f} of {key}" for key, floor in floors.items())
    print(
        f"{name}: {median(cpu):.1f} CPU s ({cpu[0]:.1f} to {cpu[-1]:.1f}), "
        f"{num_bytes / 1e6 / median(cpu):.2f} MB/s, {wall:.1f} wall s; {ratios}"
    )
    memory = (max(run[key] for run in runs) for key in ("main_mib", "worker_mib"))
    print("  peak memory: main process {:.0f} MiB, largest other {:.0f} MiB".format(*memory))
    for stage in runs[0]["stages"]:
        seconds = median(run["stages"][stage] for run in runs)
        print(f"  {stage}: {seconds:.1f} CPU s, {1e9 * seconds / num_bytes:.0f} ms/MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work_dir", type=Path, default=Path("data/build-speed"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = Folder(options.work_dir)
    if options.measure:
        print(json.dumps(measure(options.measure, folder)))
        return
    num_bytes = prepare(folder)
    command = [sys.executable, __file__, "--work_dir", str(folder.path), "--measure"]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in MEASURED}
    for _ in range(options.rounds):
        for name in MEASURED:
            done = subprocess.run(
                [*command, name], env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            runs[name].append(json.loads(done.stdout))
    floors = {name: median(run["cpu_s"] for run in runs[name]) for name in ("floor A", "floor B")}
    for name in MEASURED:
        show(name, runs[name], num_bytes, floors)
    walls = [median(run["wall_s"] for run in runs[n]) for n in ("one process", "two processes")]
    print(f"two processes: {walls[0] / walls[1]:.2f} times the speed of one (wall time)")


if __name__ == "__main__":
    main()
