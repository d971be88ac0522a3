"""Check on a machine with GPUs what the tests check on a CPU: exact resume, and short memory.

    python benchmarks/resume_on_gpu.py --data_path DATASET

With `graphmert-train` as users run it, a process a GPU: an unbroken run, and one that SIGTERM
stops at a random moment and `--resume` ends, compared bit by bit; then, on one GPU, a batch that is
too large, and the batch size that the error names.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

NUM_EPOCHS = 6
PRESET = ("--preset", "small", "--num_epochs", str(NUM_EPOCHS), "--batch_size", "128")
TOO_LARGE = ("--preset", "codebert", "--num_epochs", "1", "--batch_size", "16384")
NOT_REPEATED = ("time_s", "train/windows_per_s")
EXIT_BAD_INPUT, EXIT_RESUME_ME = 2, 75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--check", choices=CHECKS, nargs="+", default=CHECKS)
    options = parser.parse_args()
    print(
        f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}, torch {torch.__version__}"
    )
    for name in options.check:
        with tempfile.TemporaryDirectory() as folder:
            CHECKS[name](options.data_path, Path(folder))


def command(data_path: Path, output: Path, *more: str) -> list[str]:
    paths = ("--data_path", str(data_path), "--output_dir", str(output))
    return [sys.executable, "-m", "graphmert.training.cli", *paths, *more]


def compare(data_path: Path, folder: Path) -> None:
    unbroken, stopped = folder / "unbroken", folder / "stopped"
    run(command(data_path, unbroken, *PRESET))
    stopped_at = stop_at_random(command(data_path, stopped, *PRESET), stopped)
    run(command(data_path, stopped, *PRESET, "--resume"))
    print(f"stopped after update {stopped_at} of {last_step(stopped)} and resumed: ", end="")
    print(difference(unbroken, stopped), flush=True)


def run(given: list[str]) -> None:
    """Run a command that must succeed, and say how long it took."""
    start = time.perf_counter()
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    print(f"{time.perf_counter() - start:.0f} s", flush=True)
    assert done.returncode == 0, done.stderr[-2000:]


def stop_at_random(given: list[str], run: Path) -> int:
    """Send SIGTERM at a random moment of training; return at which update it stopped."""
    epoch = random.randrange(1, NUM_EPOCHS - 1)
    with subprocess.Popen(given, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith(f"epoch {epoch}: validation"):
                break
        time.sleep(random.uniform(0.0, 0.5))
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == EXIT_RESUME_ME, (process.returncode, said)
    return last_step(run)


def last_step(run: Path) -> int:
    state = json.loads((run / "checkpoints" / "latest" / "training_state.json").read_text())
    return int(state["progress"]["step"])


def difference(one: Path, other: Path) -> str:
    """Say whether two runs have the same weights, moments and metrics, and if not, how far off."""
    furthest = 0.0
    for name in ("model.safetensors", "optimizer.safetensors"):
        first, second = (load_file(run / "checkpoints" / "latest" / name) for run in (one, other))
        furthest = max(furthest, *(float((first[key] - second[key]).abs().max()) for key in first))
    lines = [metrics(one), metrics(other)]
    numbers = [[value for line in run for value in line.values()] for run in lines]
    assert len(numbers[0]) == len(numbers[1])
    apart = max(abs(a - b) for a, b in zip(*numbers, strict=True))
    same = "the same bits" if furthest == 0.0 and apart == 0.0 else "not the same bits"
    return f"{same} (weights and moments at most {furthest:.3g} apart, metrics {apart:.3g})"


def metrics(run: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in NOT_REPEATED} for line in lines]


def run_out_of_memory(data_path: Path, folder: Path) -> None:
    """Ask for too much, then for what the error names."""
    one = ("--num_processes", "1")
    start = time.perf_counter()
    refused = subprocess.run(
        command(data_path, folder / "run", *TOO_LARGE, *one),
        capture_output=True,
        text=True,
        check=False,
    )
    line = refused.stderr.splitlines()[-1]
    print(f"exit {refused.returncode} after {time.perf_counter() - start:.0f} s: {line}")
    assert refused.returncode == EXIT_BAD_INPUT
    named = re.search(r"--batch_size (\d+) --gradient_accumulation (\d+)", line)
    assert named, line
    batch_size, accumulation = named.groups()
    flags = ("--batch_size", batch_size, "--gradient_accumulation", accumulation)
    run(command(data_path, folder / "fitting", *TOO_LARGE, *flags, *one))
    print(f"with {' '.join(flags)} it trains")


CHECKS = {"resume": compare, "memory": run_out_of_memory}

if __name__ == "__main__":
    main()
