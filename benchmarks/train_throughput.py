"""Measure training on one GPU: throughput, the share of the card's matrix peak, where time goes.

    python benchmarks/window_sample.py --data_path DATASET --output_dir data/sample
    python benchmarks/train_throughput.py --sample data/sample --output_dir benchmarks/results

One call: the kernels' tests on the card; the card's peaks; dense eager, packed with p frozen and
packed with p learnable side by side for `paper` and `codebert`; 15 epochs over the sample with
validation; a profile. Dense with p learnable is left out: its gradient gathers by atomic adds into
a table, 7 s an update of 32 windows on an H200. Counted operations are those of real tokens alone:
6 x encoder and H-GAT weights, the head on masked tokens, attention inside windows. Padding and
recomputation count nothing.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from window_sample import read

from graphmert.data.batches import epoch_batches
from graphmert.data.dataset import TrainingData, load_tokenizer
from graphmert.data.packing import PackedRows
from graphmert.data.windows import WindowTable
from graphmert.models import attention, configuration
from graphmert.models import graphmert as graphmert_module
from graphmert.models.fused_attention import fused_attention
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.inputs import GraphInputs
from graphmert.models.token_ranges import token_ranges
from graphmert.tracking.tracker import open_tracker
from graphmert.training.checkpoint import Progress
from graphmert.training.compilation import compile_model
from graphmert.training.losses import NO_LABEL
from graphmert.training.passes import passes_of_updates
from graphmert.training.settings import RunSettings, TrainSettings
from graphmert.training.trainer import TrainingRun, save, train_epoch, validate
from graphmert.training.update import SummedLosses, make_optimizer, summed_token_loss, update

BATCH_SIZE = 512  # windows of an update
# The host queues an update of any size in some 50 ms: smaller models need more windows a time.
PAPER_BATCH_SIZE = 1024
DENSE_BATCH_SIZE = 32


@dataclass(frozen=True)
class Work:
    """What an update asks for, counted on real tokens."""

    num_windows: float
    num_tokens: float
    num_edges: float
    num_labels: float
    num_pairs: float  # tokens that see each other, both ways and themselves

    def operations(self, model: GraphMERTModel) -> float:
        """Return floating-point operations of forward and backward."""
        config, width = model.config, model.config.hidden_size
        layer = sum(weight.numel() for weight in model.layers[0].parameters() if weight.ndim == 2)
        head = width * width + width * config.vocab_size
        weights = config.num_hidden_layers * layer * self.num_tokens + width**2 * self.num_edges
        pairs = config.num_hidden_layers * 2 * width * self.num_pairs
        return 6.0 * (weights + head * self.num_labels + pairs)


@dataclass(frozen=True)
class Pace:
    """What one variant reached."""

    variant: "Variant"
    update_ms: float
    windows_per_s: float
    tokens_per_s: float
    tflops: float
    peak_gib: float
    first_update_s: float  # with compilation

    def line(self, peak_tflops: float) -> str:
        """Return a row of the report's table."""
        return (
            f"| {self.variant.preset} | {self.variant.name} | {self.variant.batch_size} "
            f"| {self.update_ms:.1f} | {self.windows_per_s:,.0f} | {self.tokens_per_s:,.0f} "
            f"| {self.tflops:.0f} | {self.tflops / peak_tflops:.1%} | {self.peak_gib:.1f} "
            f"| {self.first_update_s:.1f} |"
        )


def work_of(rows: PackedRows) -> Work:
    window = rows.inputs.window_index
    windows_per_row = window.max() + 1
    row = torch.arange(len(window), device=window.device)[:, None]
    lengths = torch.bincount((row * windows_per_row + window)[window >= 0])
    lengths = lengths[lengths > 0]
    return Work(
        num_windows=len(lengths),
        num_tokens=int(lengths.sum()),
        num_edges=int((rows.inputs.edge_leaf >= 0).sum()),
        num_labels=int((rows.mlm_labels != NO_LABEL).sum()),
        num_pairs=int(lengths.square().sum()),
    )


def mean_work(works: list[Work]) -> Work:
    return Work(**{name: sum(vars(w)[name] for w in works) / len(works) for name in vars(works[0])})


def measure_peaks() -> tuple[float, float]:
    """Return (bf16 matrix TFLOP/s, copied bytes read and written in TB/s)."""
    size = 8192
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product_ms = triton.testing.do_bench(lambda: a @ b, return_mode="median")
    source = torch.randn(2**30, device="cuda")
    target = torch.empty_like(source)
    copy_ms = triton.testing.do_bench(lambda: target.copy_(source), return_mode="median")
    return 2 * size**3 / product_ms / 1e9, 8 * len(source) / copy_ms / 1e9


def dense_rows(rows: PackedRows, num_nodes: int) -> PackedRows:
    """Spread one packed row to a row of `num_nodes` positions for each window."""
    inputs, places = rows.inputs, rows.inputs.window_index[0]
    is_real = places >= 0
    num_windows = int(places.max()) + 1
    at = places * num_nodes + inputs.position_ids[0]

    def spread(values: Tensor, nothing: int) -> Tensor:
        flat = values.new_full((num_windows * num_nodes,), nothing)
        flat[at[is_real]] = values[0, is_real]
        return flat.view(num_windows, num_nodes)

    def of_row(edge_values: Tensor) -> Tensor:
        return at[edge_values[0]]

    position = torch.arange(num_nodes, device=places.device).expand(num_windows, -1)
    edge_window = places[inputs.edge_leaf[0]]
    ranks = torch.arange(len(edge_window), device=places.device)
    order = edge_window.argsort(stable=True)
    counts = torch.bincount(edge_window, minlength=num_windows)
    rank = torch.empty_like(ranks)
    rank[order] = ranks - (counts.cumsum(0) - counts)[edge_window[order]]
    width = int(counts.max())

    def spread_edges(values: Tensor, nothing: int) -> Tensor:
        flat = values.new_full((num_windows * width,), nothing)
        flat[edge_window * width + rank] = values
        return flat.view(num_windows, width)

    return PackedRows(
        inputs=GraphInputs(
            input_ids=spread(inputs.input_ids, 0),
            position_ids=position,
            token_type_ids=spread(inputs.token_type_ids, 0),
            window_index=spread(inputs.window_index, -1).clamp(max=0),
            root_index=spread(inputs.root_index, 0),
            leaf_slot=spread(inputs.leaf_slot, -1),
            edge_leaf=spread_edges(of_row(inputs.edge_leaf) % num_nodes, -1),
            edge_root=spread_edges(of_row(inputs.edge_root) % num_nodes, 0),
            edge_head_start=spread_edges(of_row(inputs.edge_head_start) % num_nodes, 0),
            edge_head_length=spread_edges(inputs.edge_head_length[0], 1),
            edge_relation=spread_edges(inputs.edge_relation[0], 0),
        ),
        mlm_tokens=at[rows.mlm_tokens],
        mlm_roots=rows.mlm_roots,
        mlm_labels=rows.mlm_labels,
        relation_labels=spread_edges(rows.relation_labels[0], NO_LABEL),
        edge_triples=spread_edges(rows.edge_triples[0], -1),
    )


@dataclass(frozen=True)
class Variant:
    """One way to train, measured beside the others."""

    preset: str
    batch_size: int  # windows of an update
    is_packed: bool = True
    is_p_learnable: bool = True

    @property
    def name(self) -> str:
        kind = "packed" if self.is_packed else "dense eager"
        return f"{kind}, p {'learnable' if self.is_p_learnable else 'frozen'}"

    def model(self, vocab_size: int) -> GraphMERTModel:
        torch.manual_seed(0)
        config = getattr(configuration, self.preset)(vocab_size)
        config.is_decay_learnable = self.is_p_learnable
        return GraphMERTModel(config).cuda().train()


COLUMNS = (
    "size",
    "variant",
    "windows an update",
    "update ms",
    "windows/s",
    "tokens/s",
    "TFLOP/s",
    "of peak",
    "peak GiB",
    "first update s",
)
VARIANTS = [
    Variant(preset, batch_size if is_packed else DENSE_BATCH_SIZE, is_packed, is_p_learnable)
    for preset, batch_size in (("paper", PAPER_BATCH_SIZE), ("codebert", BATCH_SIZE))
    for is_packed, is_p_learnable in ((False, False), (True, False), (True, True))
]


@contextmanager
def attention_of(variant: Variant) -> Iterator[None]:
    """Let a dense variant take the plain path, which a GPU does not choose by itself."""
    if variant.is_packed:
        yield
        return

    def plain(inputs: GraphInputs, *_: object) -> attention.AttentionScope:
        return attention.attention_scope(inputs)

    with patch.object(graphmert_module, "choose_scope", plain):
        yield


def measure(
    variant: Variant, table: WindowTable, vocab_size: int, num_warmup: int, num_updates: int
) -> tuple[Pace, Work]:
    """Train some updates; return the pace of all but the first, data preparation included."""
    torch.compiler.reset()
    model, settings = variant.model(vocab_size), TrainSettings(batch_size=variant.batch_size)
    optimizer = make_optimizer(model, settings)
    losses = SummedLosses(model, compile_model(model) if variant.is_packed else summed_token_loss)
    autocast = torch.autocast("cuda", torch.bfloat16)
    updates = update_rows(table, variant, vocab_size)
    torch.cuda.reset_peak_memory_stats()
    works, times = [], []
    with attention_of(variant):
        for index in range(num_warmup + num_updates):
            if index in (0, 1, num_warmup):
                torch.cuda.synchronize()
                times.append(time.perf_counter())
            rows = next(updates)
            works.append(rows)
            update(losses, optimizer, [rows], settings, autocast)
        torch.cuda.synchronize()
        times.append(time.perf_counter())
    work = mean_work([work_of(rows) for rows in works[num_warmup:]])
    update_s = (times[-1] - times[-2]) / num_updates
    pace = Pace(
        variant=variant,
        update_ms=1e3 * update_s,
        windows_per_s=work.num_windows / update_s,
        tokens_per_s=work.num_tokens / update_s,
        tflops=work.operations(model) / update_s / 1e12,
        peak_gib=torch.cuda.max_memory_allocated() / 2**30,
        first_update_s=times[1] - times[0],
    )
    return pace, work


def update_rows(table: WindowTable, variant: Variant, vocab_size: int) -> Iterator[PackedRows]:
    """Yield the rows of update after update, epoch after epoch."""
    settings = TrainSettings(batch_size=variant.batch_size)
    for epoch in range(10**6):
        batches = epoch_batches(
            table.num_tokens, variant.batch_size, settings.seed, epoch, is_by_key=False
        )
        full = [each for each in batches if len(each) == variant.batch_size]
        for passes in passes_of_updates(table, full, epoch, settings, vocab_size):
            yield passes[0] if variant.is_packed else dense_rows(passes[0], table.layout.num_nodes)


def loader_ms(table: WindowTable, variant: Variant, vocab_size: int, num_updates: int) -> float:
    """Return the time that masking and packing alone take for an update."""
    updates = update_rows(table, variant, vocab_size)
    next(updates)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(num_updates):
        next(updates)
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / num_updates


def attention_ms(table: WindowTable, variant: Variant, vocab_size: int) -> str:
    """Return what the fused attention of a layer takes, p frozen and learnable."""
    rows = next(update_rows(table, variant, vocab_size))
    config = getattr(configuration, variant.preset)(vocab_size)
    decay = attention.DecayAttention(config).cuda().decay
    assert decay is not None
    ranges = token_ranges(rows.inputs)
    shape = (len(ranges.groups), 3, config.num_attention_heads, -1)
    packed = torch.randn(shape[0], 3 * config.hidden_size, device="cuda", dtype=torch.bfloat16)
    packed = packed.view(shape).requires_grad_()
    weights = torch.randn_like(packed[:, 0])
    tables = decay().detach(), decay.slope()
    times = []
    for is_learnable in (False, True):
        p = decay.p.detach().requires_grad_(is_learnable)

        def both_ways(p: Tensor = p) -> None:
            fused_attention(packed, p, *tables, ranges).backward(weights)

        times.append(triton.testing.do_bench(both_ways, rep=300, return_mode="median"))
    return f"{times[0]:.3f} ms p frozen, {times[1]:.3f} ms p learnable ({times[1] / times[0]:.3f}x)"


def is_reproducible(table: WindowTable, vocab_size: int) -> bool:
    """Tell whether two runs of three updates from one seed end in the same weights, bit by bit."""
    variant, autocast = Variant("codebert", 128), torch.autocast("cuda", torch.bfloat16)
    ends = []
    for _ in range(2):
        model, settings = variant.model(vocab_size), TrainSettings(batch_size=variant.batch_size)
        optimizer = make_optimizer(model, settings)
        losses = SummedLosses(model, compile_model(model))
        updates = update_rows(table, variant, vocab_size)
        torch.manual_seed(1)
        for _ in range(3):
            update(losses, optimizer, [next(updates)], settings, autocast)
        ends.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
    unlike = [name for name, weight in ends[0].items() if not torch.equal(weight, ends[1][name])]
    print("weights that differ:", unlike[:8], len(unlike), flush=True)
    return not unlike


def training_run(
    sample: Path, train: WindowTable, num_epochs: int, output_dir: Path
) -> TrainingRun:
    """Return a run of the CodeBERT size as graphmert-train prepares it."""
    validation, vocab_size = read(sample / "validation.parquet")
    settings = TrainSettings(num_epochs=num_epochs, batch_size=BATCH_SIZE)
    model = Variant("codebert", BATCH_SIZE).model(vocab_size)
    data = TrainingData(
        train=train,
        validation=validation.to("cuda"),
        tokenizer_path=sample / "tokenizer",
        tokenizer=load_tokenizer(sample / "tokenizer"),
        digest="sample",
        num_relations=model.config.num_relations,
    )
    return TrainingRun(
        model=model,
        optimizer=make_optimizer(model, settings),
        data=data,
        settings=settings,
        where=RunSettings(device="cuda", is_bf16=True),
        checkpoints=output_dir / "checkpoints",
        identity={},
        tracker=open_tracker(output_dir / "metrics.jsonl", from_step=-1),
        progress=Progress(),
        token_loss=compile_model(model),
    )


def train_epochs(sample: Path, train: WindowTable, num_epochs: int) -> dict[str, float]:
    """Train and validate as the trainer does; return the seconds of each part.

    The checkpoint is timed apart: the trainer writes one whenever validation improves.
    """
    seconds = {"train": 0.0, "validate": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        run = training_run(sample, train, num_epochs, Path(folder))

        def timed(part: str, work: Callable[[], Any]) -> None:
            start = time.perf_counter()
            work()
            torch.cuda.synchronize()
            seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start

        timed("validate", lambda: validate(run))
        for epoch in range(num_epochs):
            run.progress.epoch, run.progress.batch = epoch, 0
            timed("train", lambda: train_epoch(run, lambda: False))
            timed("validate", lambda: validate(run))
        timed("checkpoint", lambda: (save(run), run.writer.wait()))
        run.close()
    return seconds


def profile_table(table: WindowTable, vocab_size: int) -> str:
    """Return where the card's time goes in three updates of the CodeBERT size."""
    torch.compiler.reset()
    variant, autocast = Variant("codebert", BATCH_SIZE), torch.autocast("cuda", torch.bfloat16)
    model, settings = variant.model(vocab_size), TrainSettings(batch_size=BATCH_SIZE)
    optimizer = make_optimizer(model, settings)
    losses = SummedLosses(model, compile_model(model))
    updates = update_rows(table, variant, vocab_size)
    for _ in range(8):
        update(losses, optimizer, [next(updates)], settings, autocast)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(3):
            update(losses, optimizer, [next(updates)], settings, autocast)
        torch.cuda.synchronize()
    events = [event for event in profile.key_averages() if event.self_device_time_total > 0]
    events.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events)
    lines = ["| kernel | calls an update | ms an update | share |", "|---|---|---|---|"]
    lines += [
        f"| `{event.key[:90]}` | {event.count // 3} | {event.self_device_time_total / 3e3:.2f} | "
        f"{event.self_device_time_total / total:.1%} |"
        for event in events[:32]
    ]
    return "\n".join([*lines, f"| all | | {total / 3e3:.2f} | |"])


def kernel_tests() -> str:
    """Run the kernels' tests on this card; return pytest's summary."""
    command = [sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider"]
    tests = [f"tests/graphmert/test_fused_{name}.py" for name in ("attention", "model")]
    result = subprocess.run([*command, *tests], capture_output=True, text=True, check=False)
    print(result.stdout[-3000:], result.stderr[-1000:])
    return f"{result.stdout.splitlines()[0].split()[0]} exit status {result.returncode}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=Path, required=True, help="of benchmarks/window_sample.py")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_epochs", type=int, default=15)
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    day = datetime.now(UTC).date().isoformat()
    name = torch.cuda.get_device_name().lower().replace(" ", "-")
    with (options.output_dir / f"{day}-train-throughput-{name}.md").open("w") as report:

        def say(text: str) -> None:
            print(text, flush=True)
            print(text, file=report, flush=True)

        measure_all(options, say)


def measure_all(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measure everything, one line of the report after another."""
    table, vocab_size = read(options.sample / "train.parquet")
    table = table.to("cuda")
    versions = f"torch {torch.__version__}, triton {triton.__version__}"
    say(f"# Training throughput, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
    say(f"- {torch.cuda.get_device_name()}, {versions}, Python {sys.version.split()[0]};")
    say(f"  command: `python {' '.join(sys.argv)}`")
    say(f"- {table.num_windows} windows, {float(table.num_tokens.float().mean()):.1f} tokens each,")
    say(f"  vocabulary {vocab_size}, bf16 autocast, masks made on the card")
    say(f"- kernel tests on this card: {kernel_tests()}")
    peak, copied = measure_peaks()
    say(f"- peaks: {peak:.0f} TFLOP/s (bf16 product of 8192), {copied:.2f} TB/s (copy)\n")
    say(f"| {' | '.join(COLUMNS)} |")
    say("|---" * len(COLUMNS) + "|")
    for variant in VARIANTS:
        counts = (24, 40) if variant.is_packed else (2, 4)
        pace, work = measure(variant, table, vocab_size, *counts)
        say(pace.line(peak))
    operations = work.operations(variant.model(vocab_size)) / 1e12
    say(f"\n- the last variant's update: {work}, {operations:.2f} TFLOP: at the peak")
    say(f"  {1e3 * operations / peak:.1f} ms")
    say(f"- attention of one of its layers: {attention_ms(table, variant, vocab_size)}")
    prepare_ms = loader_ms(table, variant, vocab_size, num_updates=60)
    say(f"- masking and packing alone: {prepare_ms:.2f} ms an update")
    say(f"- two runs of three updates end in the same bits: {is_reproducible(table, vocab_size)}")
    start = time.perf_counter()
    train_epochs(options.sample, table, 1)
    warm_s = time.perf_counter() - start
    seconds = train_epochs(options.sample, table, options.num_epochs)
    total = seconds["train"] + seconds["validate"]
    parts = ", ".join(f"{part} {value:.1f} s" for part, value in seconds.items())
    say(f"- {options.num_epochs} epochs, CodeBERT size, with validation: {total:.1f} s ({parts});")
    say(f"  one epoch before them, which compiled for validation too: {warm_s:.1f} s\n")
    say(profile_table(table, vocab_size))


if __name__ == "__main__":
    main()
