"""`graphmert-train`: train GraphMERT on a data set.

    graphmert-train --data_path data/sets/mine --output_dir runs/mine --preset tiny --num_epochs 3

Exit status: 0 done, 2 bad input, 3 the loss is no longer finite, 75 stopped by a signal with a
checkpoint written (run the same command with --resume to go on).
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import torch

from graph_builder.errors import UserError
from graph_builder.relations import NUM_RELATIONS
from graph_builder.whole_file import write_whole
from graphmert.data.dataset import TrainingData, load_tokenizer, load_training_data
from graphmert.evaluation.device import usable_device
from graphmert.models import configuration
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.tracking.tracker import open_tracker
from graphmert.training.checkpoint import LATEST, Progress, load_checkpoint
from graphmert.training.compilation import compile_model
from graphmert.training.console import say
from graphmert.training.masking import MaskSettings
from graphmert.training.settings import RunSettings, TrainSettings
from graphmert.training.trainer import NonFiniteLossError, TrainingRun, train
from graphmert.training.update import TokenLoss, make_optimizer, summed_token_loss

EXIT_BAD_INPUT, EXIT_NOT_FINITE, EXIT_RESUME_ME = 2, 3, 75
PRESETS = ("tiny", "small", "paper", "codebert")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        with stop_signal() as should_stop, closing(prepare(options)) as run:
            is_done = train(run, should_stop)
    except (UserError, OSError, NonFiniteLossError) as error:
        print(f"graphmert-train: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_NOT_FINITE if isinstance(error, NonFiniteLossError) else EXIT_BAD_INPUT
    if not is_done:
        say("stopped, a checkpoint is written: the same command with --resume goes on")
        return EXIT_RESUME_ME
    say(f"done: {options.output_dir / 'checkpoints'} (best, latest)")
    return 0


def parser() -> argparse.ArgumentParser:
    defaults, where = TrainSettings(), RunSettings()
    parser = argparse.ArgumentParser(
        prog="graphmert-train", description="Train GraphMERT on a data set."
    )
    add = parser.add_argument
    add("--data_path", type=Path, required=True, help="data-set folder, or one exported .pt")
    add("--output_dir", type=Path, required=True, help="folder for checkpoints and metrics")
    add("--preset", choices=PRESETS, help="model size (default tiny)")
    add("--init_from", type=Path, metavar="CHECKPOINT", help="start from this model's weights")
    add("--num_epochs", type=int, default=defaults.num_epochs, help="(default %(default)s)")
    add("--batch_size", type=int, default=defaults.batch_size, help="windows (default %(default)s)")
    add(
        "--gradient_accumulation",
        type=int,
        default=defaults.gradient_accumulation,
        help="forward passes of one update (default %(default)s)",
    )
    add(
        "--learning_rate",
        type=float,
        default=defaults.learning_rate,
        help="highest, after the warm-up (default %(default)s)",
    )
    add("--warmup_share", type=float, default=defaults.warmup_share, help="(default %(default)s)")
    add("--weight_decay", type=float, default=defaults.weight_decay, help="(default %(default)s)")
    add(
        "--lambda_mlm",
        type=float,
        default=defaults.lambda_mlm,
        help="weight of MLM; MNM has the rest (default %(default)s)",
    )
    add("--num_relations", type=int, default=NUM_RELATIONS, help="(default %(default)s)")
    add("--two_passes", action="store_true", help="one forward pass for each objective")
    add("--seed", type=int, default=defaults.seed, help="(default %(default)s)")
    add("--device", help="such as cpu or cuda (default: cuda where there is one)")
    add(
        "--precision",
        choices=("auto", "float32", "bf16"),
        default="auto",
        help="auto: bf16 on cuda",
    )
    add(
        "--checkpoint_every",
        type=int,
        default=where.checkpoint_every,
        help="epochs (default %(default)s)",
    )
    add("--log_every", type=int, default=where.log_every, help="updates (default %(default)s)")
    add(
        "--resume",
        nargs="?",
        type=Path,
        const=Path(LATEST),
        metavar="CHECKPOINT",
        help="go on from this checkpoint (default: the latest one in --output_dir)",
    )
    return parser


def prepare(options: argparse.Namespace) -> TrainingRun:
    """Read all that the run needs, check it, and only then write the first file."""
    data = load_training_data(options.data_path)
    if options.num_relations != data.num_relations:
        raise UserError(
            f"--num_relations {options.num_relations}: "
            f"{options.data_path} has {data.num_relations} relations"
        )
    settings, where = train_settings(options, data), run_settings(options)
    model = initial_model(options, data)
    model.to(where.device)  # type: ignore[arg-type]  # what transformers declares is too narrow
    optimizer = make_optimizer(model, settings)
    checkpoints = options.output_dir / "checkpoints"
    identity = {"settings": asdict(settings), "data_set": data.digest}
    progress = Progress()
    if checkpoint := checkpoint_to_resume(options.resume, checkpoints):
        progress = load_checkpoint(checkpoint, model, optimizer, identity)
        say(f"resumes from {checkpoint} at update {progress.step}")

    token_loss: TokenLoss = summed_token_loss
    if model.device.type == "cuda":
        data = replace(
            data, train=data.train.to(model.device), validation=data.validation.to(model.device)
        )
        token_loss = compile_model(model)

    parameters = identity | {"run": asdict(where), "model": model.config.to_dict()}
    write_whole(options.output_dir / "settings.json", as_json(parameters))
    tracker = open_tracker(options.output_dir / "metrics.jsonl", from_step=progress.step or -1)
    tracker.log_parameters(parameters)
    return TrainingRun(
        model,
        optimizer,
        data,
        settings,
        where,
        checkpoints,
        identity,
        tracker,
        progress,
        token_loss,
    )


def train_settings(options: argparse.Namespace, data: TrainingData) -> TrainSettings:
    return TrainSettings(
        num_epochs=options.num_epochs,
        batch_size=options.batch_size,
        gradient_accumulation=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        warmup_share=options.warmup_share,
        weight_decay=options.weight_decay,
        lambda_mlm=options.lambda_mlm,
        is_two_passes=options.two_passes,
        seed=options.seed,
        masks=MaskSettings(mask_token_id=data.mask_token_id, num_relations=data.num_relations),
    )


def run_settings(options: argparse.Namespace) -> RunSettings:
    device = usable_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.device is None and device.type == "cpu":
        say("no GPU found: training runs on the CPU")
    is_auto = options.precision == "auto"
    is_bf16 = device.type == "cuda" if is_auto else options.precision == "bf16"
    return RunSettings(str(device), is_bf16, options.checkpoint_every, options.log_every)


def initial_model(options: argparse.Namespace, data: TrainingData) -> GraphMERTModel:
    """Return a model with random weights from the seed, or the weights of `--init_from`."""
    if options.init_from is None:
        torch.manual_seed(options.seed)
        config = getattr(configuration, options.preset or PRESETS[0])(data.vocab_size)
        config.num_roots, config.leaves_per_root = astuple(data.train.layout)
        return GraphMERTModel(config)
    if options.preset is not None:
        raise UserError("--preset and --init_from: the checkpoint has a size of its own, drop one")
    try:
        model = load_model(options.init_from)
    except ValueError as error:
        raise UserError(str(error)) from error
    if load_tokenizer(options.init_from).to_str() != data.tokenizer.to_str():
        raise UserError(
            f"{options.init_from}: its tokenizer is not that of {options.data_path}: "
            "build the data set with the model's tokenizer"
        )
    if model.config.layout != data.train.layout:
        raise UserError(
            f"{options.init_from}: made for {model.config.layout}, "
            f"and {options.data_path} has {data.train.layout}"
        )
    return model


def checkpoint_to_resume(resume: Path | None, checkpoints: Path) -> Path | None:
    """Return where to go on from; None: from the beginning."""
    latest = checkpoints / LATEST
    if resume is not None and resume != Path(LATEST):
        return resume
    if latest.is_symlink() and not latest.exists():
        raise UserError(f"{latest}: leads to no checkpoint: name one with --resume, or remove it")
    if resume is None:
        if latest.exists():
            raise UserError(
                f"{checkpoints}: holds the checkpoints of another run: "
                "go on with --resume, or choose another --output_dir"
            )
        return None
    if not latest.exists():
        say(f"{checkpoints}: no checkpoint yet, starts from the beginning")
        return None
    return latest.resolve()


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM or SIGINT came: the run ends at its next step."""
    received = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: received.append(True)) for number in numbers]
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def as_json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, default=str) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
