"""Splits: which source goes to training, validation and test.

By hand, or by a fixed rule: a hash of the source's label. A source is never divided, and no split
is empty: where validation or test would be, an installed package is added to it.
"""

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.source_spec import SourceSpec, parse_spec

# Shares of the hash's range, in percent, in the order of SPLITS.
SHARES: Final = (80, 10, 10)
# Small packages that an installation of this project brings along, tried in this order.
HELD_OUT_PACKAGES: Final = ("click", "flask", "jinja2", "requests", "tqdm", "packaging", "fsspec")


@dataclass(frozen=True)
class PlannedSource:
    """A source and the split that it goes to."""

    spec: SourceSpec
    split: str
    is_added: bool = False  # not asked for: it keeps a held-out split from being empty


def plan_splits(
    by_hand: Mapping[str, Sequence[str]],
    by_rule: Sequence[str],
    before: Mapping[str, str],
    needs_training: bool = True,
) -> list[PlannedSource]:
    """Return every source with its split, sorted by split and label.

    by_hand: specs for each split; by_rule: specs that the hash decides on; before: label -> split
    of the data set that is extended, which the hash does not overrule; needs_training: False where
    the tokenizer is given, so that a data set to evaluate on needs no more than that.
    Raises UserError for a source named twice, unknown specs, or nothing to train on.
    """
    planned = [
        PlannedSource(parse_spec(text), split)
        for split in SPLITS
        for text in by_hand.get(split, ())
    ]
    hashed = [parse_spec(text) for text in by_rule]
    planned += [PlannedSource(spec, before.get(spec.label) or hash_split(spec)) for spec in hashed]
    _check_unique(planned)
    if needs_training or hashed:
        planned = _with_training(planned, hashed)
    planned += _held_out(planned)
    return sorted(planned, key=lambda source: (SPLITS.index(source.split), source.spec.label))


def hash_split(spec: SourceSpec) -> str:
    """Return the split that the hash of a source's label falls into."""
    percent = _hash_number(spec) % 100
    for split, limit in zip(SPLITS, _limits(), strict=True):
        if percent < limit:
            return split
    raise AssertionError("the shares add up to 100")


def _limits() -> Iterable[int]:
    return [sum(SHARES[: index + 1]) for index in range(len(SHARES))]


def _hash_number(spec: SourceSpec) -> int:
    return int.from_bytes(hashlib.sha256(spec.label.encode()).digest()[:8], "big")


def _check_unique(planned: Sequence[PlannedSource]) -> None:
    if not planned:
        raise UserError("no sources: name some with --train or --source")
    labels = [source.spec.label for source in planned]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UserError(f"{twice[0]}: named twice: name each source once (folders by other names)")


def _with_training(
    planned: list[PlannedSource], hashed: Sequence[SourceSpec]
) -> list[PlannedSource]:
    """Move the source with the lowest hash to training where the rule left it empty."""
    if any(source.split == "train" for source in planned):
        return planned
    if not hashed:
        raise UserError("nothing to train on: name a source with --train or --source")
    first = min(hashed, key=_hash_number)
    others = [source for source in planned if source.spec != first]
    return [*others, PlannedSource(first, "train")]


def _held_out(planned: Sequence[PlannedSource]) -> list[PlannedSource]:
    """Return an installed package for each held-out split that is empty."""
    empty = [split for split in SPLITS[1:] if all(source.split != split for source in planned)]
    taken = {source.spec.name for source in planned}
    free = [name for name in HELD_OUT_PACKAGES if name not in taken and _is_installed(name)]
    if len(free) < len(empty):
        raise UserError(f"{empty[-1]} is empty: name a source for it with --{empty[-1]}")
    return [
        PlannedSource(parse_spec(f"installed:{name}"), split, is_added=True)
        for split, name in zip(empty, free, strict=False)
    ]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
