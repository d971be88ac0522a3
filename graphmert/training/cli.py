"""`graphmert-train`: train GraphMERT on a data set.

    graphmert-train --data_path data/sets/mine --output_dir runs/mine --preset tiny --num_epochs 3
    torchrun --nnodes 2 ... -m graphmert.training.cli ...  # on each of several machines

On one machine it starts a process for each GPU itself. Exit status: 0 done, 2 bad input, 3 the loss
is no longer finite, 75 stopped by a signal with a checkpoint written (run the same command with
--resume to go on).
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
from graph_builder.whole_file import write_whole
from graphmert.data.dataset import TrainingData, load_tokenizer, load_training_data
from graphmert.models import configuration
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.tracking.tracker import open_tracker
from graphmert.training.arguments import parser, run_settings, train_settings
from graphmert.training.checkpoint import LATEST, Progress, load_checkpoint
from graphmert.training.compilation import compile_model
from graphmert.training.console import say
from graphmert.training.launch import end_at_once, end_with_launcher, is_launched, launch
from graphmert.training.memory import OutOfMemoryError, out_of_memory_line
from graphmert.training.processes import ALONE, Processes, is_first, joined
from graphmert.training.settings import check_positive
from graphmert.training.trainer import NonFiniteLossError, TrainingRun, train
from graphmert.training.update import TokenLoss, make_optimizer, summed_token_loss

EXIT_BAD_INPUT, EXIT_NOT_FINITE, EXIT_RESUME_ME = 2, 3, 75


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    try:
        if is_launched():
            end_with_launcher()
        elif (num_processes := processes_to_launch(options)) > 1:
            return launch(arguments, num_processes, when_stopped=EXIT_RESUME_ME)
        code = train_here(options)
    except (UserError, OSError, NonFiniteLossError) as error:
        if is_first() or isinstance(error, OutOfMemoryError):
            print(f"graphmert-train: {' '.join(str(error).split())}", file=sys.stderr)
        code = EXIT_NOT_FINITE if isinstance(error, NonFiniteLossError) else EXIT_BAD_INPUT
    if is_launched():
        end_at_once(code)
    return code


def processes_to_launch(options: argparse.Namespace) -> int:
    """Return how many processes to share the work between: one for each GPU, if not told."""
    if options.num_processes is not None:
        check_positive("num_processes", options.num_processes)
        return int(options.num_processes)
    return torch.cuda.device_count() if options.device in (None, "cuda") else 1


def train_here(options: argparse.Namespace) -> int:
    """Train in this process, alone or as one of several; return the exit status."""
    is_on_gpu = torch.cuda.is_available() and options.device in (None, "cuda")
    with (
        stop_signal() as should_stop,
        joined(is_on_gpu) as processes,
        closing(prepare_together(options, processes)) as run,
    ):
        is_done = is_out_of_memory = False
        try:
            is_done = train(run, lambda: processes.any(should_stop()))
        except torch.OutOfMemoryError:
            is_out_of_memory = True
        if is_out_of_memory:  # out of the handler, since the traceback holds the tensors
            raise OutOfMemoryError(out_of_memory_line(run))
    if not is_done:
        say("stopped, a checkpoint is written: the same command with --resume goes on")
        return EXIT_RESUME_ME
    say(f"done: {options.output_dir / 'checkpoints'} (best, latest)")
    return 0


def prepare_together(options: argparse.Namespace, processes: Processes) -> TrainingRun:
    """Prepare in every process; where it fails in one, raise its UserError in all of them."""
    failure, run = None, None
    try:
        run = prepare(options, processes)
    except (UserError, OSError) as error:
        failure = str(error)
    except torch.OutOfMemoryError:
        failure = f"{options.data_path}: the model and the windows do not fit the GPU's memory"
    for each in processes.gather([failure]):
        if each is not None:
            raise UserError(each)
    assert run is not None
    return run


def prepare(options: argparse.Namespace, processes: Processes = ALONE) -> TrainingRun:
    """Read all that the run needs, check it, and only then write the first file."""
    data = load_training_data(options.data_path)
    if options.num_relations != data.num_relations:
        raise UserError(
            f"--num_relations {options.num_relations}: "
            f"{options.data_path} has {data.num_relations} relations"
        )
    settings, where = train_settings(options, data), run_settings(options, processes)
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

    tracker = None
    if processes.is_first:
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
        processes,
    )


def initial_model(options: argparse.Namespace, data: TrainingData) -> GraphMERTModel:
    """Return a model with random weights from the seed, or the weights of `--init_from`."""
    if options.init_from is None:
        torch.manual_seed(options.seed)
        config = getattr(configuration, options.preset or configuration.PRESETS[0])(data.vocab_size)
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
