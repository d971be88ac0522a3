"""The arguments of `graphmert-train`, and the settings that they are."""

import argparse
from pathlib import Path

import torch

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.dataset import TrainingData
from graphmert.evaluation.device import usable_device
from graphmert.models.configuration import PRESETS
from graphmert.training.checkpoint import LATEST
from graphmert.training.console import say
from graphmert.training.masking import MaskSettings
from graphmert.training.processes import Processes
from graphmert.training.settings import RunSettings, TrainSettings


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
    add(
        "--batch_size",
        type=int,
        default=defaults.batch_size,
        help="windows, shared between the processes (default %(default)s)",
    )
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
        "--num_processes",
        type=int,
        help="that share the work on this machine (default: one for each GPU)",
    )
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


def run_settings(options: argparse.Namespace, processes: Processes) -> RunSettings:
    device = usable_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.device is None and device.type == "cpu":
        say("no GPU found: training runs on the CPU")
    is_auto = options.precision == "auto"
    is_bf16 = device.type == "cuda" if is_auto else options.precision == "bf16"
    return RunSettings(
        device=str(device),
        is_bf16=is_bf16,
        checkpoint_every=options.checkpoint_every,
        log_every=options.log_every,
        num_processes=processes.size,
    )
