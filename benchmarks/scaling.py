"""Measure training on 1, 2, 4, ... GPUs of one machine: throughput, communication, the same losses.

    python benchmarks/window_sample.py --data_path DATASET --output_dir data/sample
    python benchmarks/scaling.py --sample data/sample --output_dir benchmarks/results

Each number of processes is started as users start it, by torchrun, and trains the CodeBERT size
through the trainer's own update: as many windows for each GPU (weak scaling), as many windows
together (strong scaling), 15 epochs over the sample with validation, and the losses of the first
updates of one global batch, beside the spread of three seeds on one GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import triton
from torch import Tensor
from train_throughput import BATCH_SIZE, training_run
from window_sample import read

from graphmert.models import configuration
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.processes import Processes, joined
from graphmert.training.trainer import (
    TrainingRun,
    own_passes,
    seed_dropout,
    train,
    train_epoch,
    validate,
)
from graphmert.training.update import make_optimizer, update

STRONG_BATCH_SIZE = 1024  # windows of an update, whatever the number of GPUs
NUM_WARMUP, NUM_UPDATES = 8, 20
NUM_PROFILED = 5
CURVE_BATCH_SIZE, CURVE_UPDATES = 256, 120
CURVE_MEAN_OF = 20  # updates of one point of a curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=Path, required=True, help="of benchmarks/window_sample.py")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_epochs", type=int, default=15)
    parser.add_argument("--num_seeds", type=int, default=3, help="of the losses on one GPU")
    parser.add_argument("--result", type=Path, help="what one number of processes measured")
    options = parser.parse_args()
    if options.result is not None:
        measure_here(options)
        return
    options.output_dir.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name().lower().replace(" ", "-")
    day = datetime.now(UTC).date().isoformat()
    report_path = options.output_dir / f"{day}-scaling-{torch.cuda.device_count()}-{name}.md"
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for num_processes in powers_of_two(torch.cuda.device_count()):
            results.append(measured(num_processes, Path(folder) / f"{num_processes}.json"))
            report_path.write_text(report(results))
    print(report_path.read_text())


def powers_of_two(most: int) -> list[int]:
    return [1 << power for power in range(most.bit_length()) if 1 << power <= most]


def measured(num_processes: int, path: Path) -> dict[str, Any]:
    """Measure in so many processes of their own."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_processes}"]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *launcher, *sys.argv, "--result", str(path)], check=True, timeout=400
    )
    print(f"{num_processes}: {time.perf_counter() - start:.0f} s", flush=True)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def measure_here(options: argparse.Namespace) -> None:
    """Measure as one of the processes; the first one writes what came out."""
    torch.set_float32_matmul_precision("high")
    with joined(is_on_gpu=True) as processes, tempfile.TemporaryDirectory() as folder:
        run = run_of(options, processes, Path(folder))
        result = {
            "num_processes": processes.size,
            "weak": pace(run, BATCH_SIZE * processes.size),
            "strong": pace(run, STRONG_BATCH_SIZE),
            "communication_ms": communication_ms(run),
            "all_reduce_ms": all_reduce_ms(run),
            "curves": [
                curve(run, seed) for seed in range(options.num_seeds if processes.size == 1 else 1)
            ],
            "epochs_s": epochs_s(run),
        }
        if processes.is_first:
            options.result.write_text(json.dumps(result))


def run_of(options: argparse.Namespace, processes: Processes, folder: Path) -> TrainingRun:
    table, _ = read(options.sample / "train.parquet")
    run = training_run(options.sample, table.to("cuda"), options.num_epochs, folder)
    run.processes = processes
    return run


def restart(run: TrainingRun, batch_size: int, seed: int = 0) -> None:
    """Put first weights and a new optimizer in place; what was compiled stays."""
    torch.manual_seed(seed)
    fresh = GraphMERTModel(configuration.codebert(run.model.config.vocab_size))
    run.model.load_state_dict(fresh.state_dict())
    run.settings = type(run.settings)(
        num_epochs=run.settings.num_epochs, batch_size=batch_size, seed=seed
    )
    run.optimizer = make_optimizer(run.model, run.settings)
    run.progress = type(run.progress)()


def updates(run: TrainingRun, num_updates: int, seed: int = 0) -> list[Tensor]:
    """Make updates of windows drawn at random; return the sums of each."""
    generator = torch.Generator().manual_seed(seed)
    size, num_windows = run.settings.batch_size, run.data.train.num_windows
    batches = [torch.randint(num_windows, (size,), generator=generator) for _ in range(num_updates)]
    sums = []
    for step, passes in enumerate(own_passes(run, batches)):
        seed_dropout(seed, step, run.processes.rank)
        made = update(
            run.losses, run.optimizer, passes, run.settings, run.autocast(), run.processes
        )
        sums.append(made.stacked())
    return sums


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that it takes in all processes together."""
    torch.cuda.synchronize()
    if dist.is_initialized():
        dist.barrier()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    if dist.is_initialized():
        dist.barrier()
    return time.perf_counter() - start


def pace(run: TrainingRun, batch_size: int) -> dict[str, float]:
    """Return windows a second at this global batch size, and the median of three readings."""
    restart(run, batch_size)
    updates(run, NUM_WARMUP)
    times = sorted(timed(lambda: updates(run, NUM_UPDATES)) for _ in range(3))
    return {
        "batch_size": batch_size,
        "update_ms": 1e3 * times[1] / NUM_UPDATES,
        "windows_per_s": batch_size * NUM_UPDATES / times[1],
        "spread": (times[2] - times[0]) / times[1],
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
    }


def communication_ms(run: TrainingRun) -> float:
    """Return what the card spends in NCCL's kernels in an update, waiting for the others in it."""
    restart(run, BATCH_SIZE * run.processes.size)
    updates(run, NUM_WARMUP)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        updates(run, NUM_PROFILED)
        torch.cuda.synchronize()
    total_us = sum(
        event.self_device_time_total for event in profile.key_averages() if "nccl" in event.key
    )
    return total_us / 1e3 / NUM_PROFILED


def all_reduce_ms(run: TrainingRun) -> float:
    """Return what adding up all gradients takes by itself."""
    if run.processes.size == 1:
        return 0.0
    gradients = torch.randn(sum(weight.numel() for weight in run.model.parameters()), device="cuda")
    times = [timed(lambda: dist.all_reduce(gradients)) for _ in range(12)]
    return 1e3 * sorted(times)[len(times) // 2]


def curve(run: TrainingRun, seed: int) -> list[float]:
    """Return means of the MLM loss over the first updates of one global batch size."""
    restart(run, CURVE_BATCH_SIZE, seed)
    sums = torch.stack([run.processes.sum(each) for each in updates(run, CURVE_UPDATES, seed)])
    losses = (sums[:, 0] / sums[:, 1]).view(-1, CURVE_MEAN_OF).mean(1)
    return [round(loss, 4) for loss in losses.tolist()]


def epochs_s(run: TrainingRun) -> dict[str, float]:
    """Return the seconds that all epochs and their validations take, and a whole run with its
    checkpoints, one whenever validation improves."""
    restart(run, BATCH_SIZE)
    validate(run)  # compiles what validation needs
    seconds = {"train": 0.0, "validate": timed(lambda: validate(run))}
    for epoch in range(run.settings.num_epochs):
        run.progress.epoch, run.progress.batch = epoch, 0
        seconds["train"] += timed(lambda: train_epoch(run, lambda: False))
        seconds["validate"] += timed(lambda: validate(run))
    restart(run, BATCH_SIZE)
    seconds["with checkpoints"] = timed(lambda: train(run, lambda: False))
    return seconds


def report(results: list[dict[str, Any]]) -> str:
    """Return the page that keeps what was measured."""
    alone = results[0]
    versions = f"torch {torch.__version__}, triton {triton.__version__}"
    lines = [
        f"# Scaling, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"- {torch.cuda.device_count()} x {torch.cuda.get_device_name()}, {versions}, NCCL "
        f"{'.'.join(map(str, torch.cuda.nccl.version()))}, Python {sys.version.split()[0]};",
        f"  command: `python {' '.join(sys.argv)}`",
        "- the CodeBERT size, p learnable, bf16 autocast, float32 gradients added up over all GPUs",
        "",
        "| GPUs | weak: windows/s | update ms | efficiency | strong: windows/s | update ms "
        "| speed-up | NCCL kernels ms, waiting in them | all-reduce by itself ms "
        "| epochs: training s | validation s | with checkpoints s |",
        "|---" * 12 + "|",
    ]
    for each in results:
        weak, strong, size = each["weak"], each["strong"], each["num_processes"]
        efficiency = weak["windows_per_s"] / alone["weak"]["windows_per_s"] / size
        speed_up = strong["windows_per_s"] / alone["strong"]["windows_per_s"]
        lines.append(
            f"| {size} | {weak['windows_per_s']:,.0f} | {weak['update_ms']:.1f} | {efficiency:.1%} "
            f"| {strong['windows_per_s']:,.0f} | {strong['update_ms']:.1f} | {speed_up:.2f} "
            f"| {each['communication_ms']:.1f} | {each['all_reduce_ms']:.2f} "
            + "".join(f"| {seconds:.1f} " for seconds in each["epochs_s"].values())
            + "|"
        )
    lines += ["", f"MLM loss, means of {CURVE_MEAN_OF} updates of {CURVE_BATCH_SIZE} windows:", ""]
    for each in results:
        for seed, points in enumerate(each["curves"]):
            lines.append(f"- {each['num_processes']} GPUs, seed {seed}: {points}")
    lines += ["", *agreement(results), "", f"```json\n{json.dumps(results)}\n```", ""]
    return "\n".join(lines)


def agreement(results: list[dict[str, Any]]) -> list[str]:
    """Return, for each number of GPUs, how far its curve is from that of one, beside seeds."""
    curves = torch.tensor(results[0]["curves"])
    spread = "one seed, no spread"
    if len(curves) > 1:
        spread = f"seeds on one GPU: {float((curves.amax(0) - curves.amin(0)).max()):.4f}"
    return [
        f"- {each['num_processes']} GPUs against 1, seed 0: at most "
        f"{float((torch.tensor(each['curves'][0]) - curves[0]).abs().max()):.4f} apart; "
        f"{spread}"
        for each in results[1:]
    ]


if __name__ == "__main__":
    main()
