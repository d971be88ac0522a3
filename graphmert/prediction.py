"""What a trained model says of source code that it has not seen: relations, tails, embeddings.

    graphmert-predict CHECKPOINT FILE...        (a file named - is standard input)

prints JSON Lines, an object a triple that the parser found. For each the model is asked twice, with
nothing else masked: for its relation, and for the text of its leaves, while others that spell the
same are hidden. A score is a probability; of a text, the geometric mean over its tokens. The text
comes from the head that was trained on the window's own tokens alone, so by default it is a much
weaker guess than the relation. With `--triples` the objects are triples, best first, the parser's
and new ones (`ranked_triples.py`).
"""

import argparse
import heapq
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from graph_builder.layout import ChainLayout
from graph_builder.record import ChainGraph
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import records_table
from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.device import usable_device
from graphmert.evaluation.leaf_questions import ask_leaves
from graphmert.evaluation.questions import Question, ask_relations, unmasked
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskSettings

WINDOWS_PER_BATCH = 32
NUM_CANDIDATES = 5  # texts that are listed for each triple


@dataclass(frozen=True)
class CodeModel:
    """A model, in evaluation mode, with the tokenizer that it was trained with."""

    model: GraphMERTModel
    tokenizer: Tokenizer

    @cached_property
    def blank_tokens(self) -> list[int]:
        """The tokens that name nothing: white space, and special ones, which have no text."""
        vocab_size = self.tokenizer.get_vocab_size()
        texts = self.tokenizer.decode_batch([[token] for token in range(vocab_size)])
        return [token for token, text in enumerate(texts) if not text.strip()]


@dataclass(frozen=True)
class RelationPrediction:
    """One triple that the parser found, and what the model says of its relation."""

    path: str
    line: int  # 1-based, of the mention that the triple hangs on
    head: str
    relation: str  # the parser's
    tail: str
    is_knowledge: bool  # found in another window of the file
    predicted_relation: str
    predicted_relation_score: float
    relation_score: float  # what the model gives the parser's relation

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


@dataclass(frozen=True)
class TextPrediction:
    """What the model says of the text of a triple's leaves, given head and relation."""

    asked: str  # "tail", or "head" for a triple that hangs on its tail
    text_score: float  # of the text that the parser found
    candidates: tuple[tuple[str, float], ...]  # texts of as many tokens, best first

    def to_json(self) -> dict[str, object]:
        text, score = self.candidates[0]
        return {
            f"predicted_{self.asked}": text,
            f"predicted_{self.asked}_score": score,
            f"{self.asked}_score": self.text_score,
            "candidates": [{"text": text, "score": score} for text, score in self.candidates],
        }


def load_code_model(checkpoint: Path | str, device: torch.device | str = "cpu") -> CodeModel:
    """Load a checkpoint folder; raise ValueError with one line where it is none, or where its
    model does not read the windows that source code is cut into."""
    from graph_builder.tokenizer import load_tokenizer  # noqa: PLC0415

    model = load_model(Path(checkpoint))
    if model.config.layout != ChainLayout():
        raise ValueError(f"{checkpoint}: made for {model.config.layout}, not {ChainLayout()}")
    model.to(device)  # type: ignore[arg-type]  # transformers wraps it without its types
    return CodeModel(model, load_tokenizer(Path(checkpoint)))


@torch.no_grad()
def embed(code_model: CodeModel, code: str | bytes) -> npt.NDArray[np.float32]:
    """Return (C,): the mean state of the code's own tokens, over all its windows.

    Raises ValueError for code that cannot be decoded, or that has no token.
    """
    windows = _windows(code_model, code, "<input>")
    if not windows:
        raise ValueError("the code is empty: there is nothing to embed")
    table = _table(windows)
    total = torch.zeros(code_model.model.config.hidden_size, dtype=torch.float64)
    num_tokens = 0
    for chosen in torch.arange(table.num_windows).split(WINDOWS_PER_BATCH):
        batch = table.batch(chosen)
        own = batch.root_bytes > 0
        # Labels mark the places that are asked for: here, every token of the code.
        masked = replace(unmasked(batch), mlm_labels=batch.root_ids.masked_fill(~own, NO_LABEL))
        rows = pack(batch, masked).to(code_model.model.device)
        hidden = code_model.model.encode(rows.inputs)  # (B, N, C)
        total += hidden.flatten(0, 1)[rows.mlm_tokens].double().sum(dim=0).cpu()
        num_tokens += int(own.sum())
    return (total / num_tokens).float().numpy()


def predict_relations(
    code_model: CodeModel, code: str | bytes, path: str = "<input>"
) -> list[RelationPrediction]:
    """Ask for the relation of each triple of the code, with all else to be seen.

    Raises ValueError for code that cannot be decoded.
    """
    windows = _windows(code_model, code, path)
    questions = _questions(windows)
    answers = ask_relations(code_model.model, _table(windows), questions)
    return [
        _relation_prediction(
            path, _line(_bytes(code), windows[index], triple), windows[index], triple, answer
        )
        for (index, triple), answer in zip(questions, answers, strict=True)
    ]


def predict_texts(
    code_model: CodeModel, code: str | bytes, path: str = "<input>"
) -> list[TextPrediction]:
    """Ask for the text of each triple's leaves; the triples are those of `predict_relations`."""
    windows = _windows(code_model, code, path)
    questions = _questions(windows)
    mask_id = code_model.tokenizer.token_to_id("<mask>")
    assert mask_id is not None  # the builder refuses a tokenizer without one
    answers = ask_leaves(
        code_model.model, _table(windows), questions, MaskSettings(mask_token_id=mask_id)
    )
    return [
        _text_prediction(code_model, windows[index], triple, scores, truth)
        for (index, triple), (scores, truth) in zip(questions, answers, strict=True)
    ]


def _windows(code_model: CodeModel, code: str | bytes, path: str) -> list[ChainGraph]:
    from graph_builder.chains import source_windows  # noqa: PLC0415 (the parser, for this alone)

    return source_windows(_bytes(code), code_model.tokenizer, path)


def _bytes(code: str | bytes) -> bytes:
    return code if isinstance(code, bytes) else code.encode("utf-8", "surrogatepass")


def _table(windows: Sequence[ChainGraph]) -> WindowTable:
    return WindowTable.from_arrow(records_table(windows))


def _questions(windows: Sequence[ChainGraph]) -> list[Question]:
    """Return (window, triple) of every triple."""
    return [
        (index, triple)
        for index, window in enumerate(windows)
        for triple in range(len(window.triple_relations))
    ]


def _text_prediction(
    code_model: CodeModel, window: ChainGraph, triple: int, scores: Tensor, truth: Tensor
) -> TextPrediction:
    true_score = float(scores.gather(1, truth[:, None]).sum())
    scores[:, code_model.blank_tokens] = -math.inf
    return TextPrediction(
        asked="head" if window.triple_is_reversed[triple] else "tail",
        text_score=_mean_probability(true_score, len(truth)),
        candidates=_best_texts(code_model.tokenizer, scores),
    )


def _best_texts(tokenizer: Tokenizer, scores: Tensor) -> tuple[tuple[str, float], ...]:
    """Return the best runs of tokens by log-probabilities (leaves, V), each leaf by itself."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for row in scores:
        top = [
            (float(score), int(token))
            for score, token in zip(*row.topk(NUM_CANDIDATES), strict=True)
        ]
        longer = ((sum_ + score, [*ids, token]) for sum_, ids in best for score, token in top)
        best = heapq.nlargest(NUM_CANDIDATES, longer)
    return tuple(
        (tokenizer.decode(ids).strip(), _mean_probability(total, len(ids))) for total, ids in best
    )


def _mean_probability(log_probability: float, num_tokens: int) -> float:
    return round(math.exp(log_probability / num_tokens), 6)


def _line(data: bytes, window: ChainGraph, triple: int) -> int:
    """Return the line of a triple's mention; of the window where that is its synthetic name."""
    start = int(window.root_starts[window.triple_head_starts[triple]])
    return data.count(b"\n", 0, start) + 1 if start >= 0 else window.start_line


def _relation_prediction(
    path: str, line: int, window: ChainGraph, triple: int, probabilities: list[float]
) -> RelationPrediction:
    best = int(np.argmax(probabilities))
    relation = int(window.triple_relations[triple])
    return RelationPrediction(
        path=path,
        line=line,
        head=window.triple_heads[triple],
        relation=RELATION_NAMES[relation],
        tail=window.triple_tails[triple],
        is_knowledge=bool(window.triple_is_knowledge[triple]),
        predicted_relation=RELATION_NAMES[best],
        predicted_relation_score=round(probabilities[best], 6),
        relation_score=round(probabilities[relation], 6),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code_model = load_code_model(options.checkpoint, usable_device(options.device))
    except (ValueError, OSError) as error:
        return _complain(error)
    exit_code = 0
    show = _print_triples if options.triples else _predict_file
    for path in options.files:
        try:
            show(code_model, path)
        except BrokenPipeError:  # the reader has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return exit_code
        except (ValueError, OSError) as error:
            exit_code = _complain(error, path)
    return exit_code


def _print_triples(code_model: CodeModel, path: str) -> None:
    from graphmert.ranked_triples import rank_triples  # noqa: PLC0415 (it asks this module)

    for triple in rank_triples(code_model, *_read(path)):
        print(json.dumps(triple.to_json(), ensure_ascii=False), flush=True)


def _read(path: str) -> tuple[bytes, str]:
    """Return the code and what it is called."""
    return (sys.stdin.buffer.read(), "<stdin>") if path == "-" else (Path(path).read_bytes(), path)


def _predict_file(code_model: CodeModel, path: str) -> None:
    code, name = _read(path)
    relations = predict_relations(code_model, code, name)
    for relation, text in zip(relations, predict_texts(code_model, code, name), strict=True):
        print(json.dumps(relation.to_json() | text.to_json(), ensure_ascii=False), flush=True)


def _complain(error: Exception, path: str | None = None) -> int:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = f"{path}: " if path and path not in reason else ""
    print(f"graphmert-predict: {where}{' '.join(reason.split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphmert-predict",
        description="Print what a model says of the triples in Python files, as JSON Lines.",
    )
    parser.add_argument("checkpoint", help="folder of a checkpoint")
    parser.add_argument("files", nargs="+", metavar="FILE", help="Python file; - is standard input")
    parser.add_argument(
        "--triples",
        action="store_true",
        help="print ranked triples, each found by the parser or new",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ..")
    return parser


if __name__ == "__main__":
    sys.exit(main())
