"""What is masked and what is hidden in a batch: the rules that keep the numbers honest.

Legend: W windows, R roots, F leaves, T triples of a ragged batch; K relations.
Words: a hidden leaf is out of attention and H-GAT and has no label; a masked one stays, as <mask>.
Everything is a pure function of (seed, epoch, window id, window), see `counter_random.py`.

A local leaf that restates the window is to be seen only where MNM asks for its relation, and never
where a mention of what it spells is masked. Were all the others to be seen, those that are not
would tell which name is masked: of f(a, b, c) with leaves a and b, it is c. (One that is seen still
says that its own name is not masked.) Knowledge, and local leaves that spell what the window does
not say, such as what contains it, are to be seen whatever is masked, but for what hangs on a masked
name.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.counter_random import bits, integers, uniform, window_keys
from graphmert.data.windows import RaggedBatch
from graphmert.training.losses import NO_LABEL

EVALUATION_SEED = 0
EVALUATION_EPOCH = -1  # of no training run: held-out masks never change
EVALUATION_MNM_SHARE = 0.15  # most other relations of knowledge are to be seen
MNM_TARGETS = ("relations", "tails")
FIRST_ORDINARY_TOKEN = 5  # <s> <pad> </s> <unk> <mask> are never drawn in place of a token

# One stream of random numbers for each decision, so that no decision depends on another's draw.
_BUDGET, _PRIORITY, _LENGTH, _SPAN_ACTION, _TOKEN, _TRIPLE, _TRIPLE_ACTION, _RELATION = range(8)
_LEAF_TOKEN = 8

_BUDGET_BITS = 24  # budgets are computed in integers, so that every device rounds alike
_PRIORITY_BITS = 40
_NAME_BITS = 12  # names of a window, and token ids, as parts of one int64 key
_TOKEN_BITS = 20


@dataclass(frozen=True)
class MaskSettings:
    """Rates of both objectives: those of the paper (arXiv 2510.09580) and of the seed, but that
    MNM asks for half of the triples, where they ask for 15%: relations are learnt sooner."""

    mlm_share: float = 0.15  # of the maskable roots of a window
    span_stop: float = 0.2  # p of the geometric distribution of span lengths
    max_span: int = 7  # roots
    mnm_share: float = 0.5  # of the triples whose leaves can all be seen
    mnm_target: str = "relations"  # what MNM asks of them, or the tokens of their "tails" (paper)
    masked_share: float = 0.8  # of what is chosen becomes <mask> ...
    random_share: float = 0.1  # ... or something random; the rest stays as it is
    mask_token_id: int = 4
    num_relations: int = NUM_RELATIONS  # also the id of a masked relation

    def __post_init__(self) -> None:
        if self.mnm_target not in MNM_TARGETS:
            raise ValueError(f"mnm_target {self.mnm_target!r}: not one of {', '.join(MNM_TARGETS)}")


@dataclass(frozen=True)
class MaskedBatch:
    """What the model may see of a batch, and what it must say."""

    root_input_ids: Tensor  # (R,)
    mlm_labels: Tensor  # (R,) token ids; NO_LABEL: not chosen
    leaf_input_ids: Tensor  # (F,)
    leaf_is_hidden: Tensor  # (F,) bool
    relation_inputs: Tensor  # (T,) 0 .. K - 1, K = masked
    relation_labels: Tensor  # (T,) 0 .. K - 1, or NO_LABEL
    leaf_labels: Tensor | None = None  # (F,) token ids, or NO_LABEL; None: no tail is asked for


def mask_batch(
    batch: RaggedBatch, settings: MaskSettings, seed: int, epoch: int, vocab_size: int
) -> MaskedBatch:
    """Choose spans of roots and triples, and hide every leaf that would give one away."""
    draws = _Draws(batch, seed, epoch)
    spans = _choose_spans(batch, settings, draws)
    is_chosen = spans >= 0
    root_input_ids = _corrupt_roots(batch, spans, settings, draws, vocab_size)

    hangs_on_chosen = _head_is_chosen(batch, is_chosen)
    root_keys, leaf_keys = _mention_keys(batch)
    is_lost = hangs_on_chosen | _restates(batch, leaf_keys, root_keys[is_chosen])
    triples = _choose_triples(batch, ~is_lost, settings, draws)
    restates = _restates(batch, leaf_keys, root_keys)
    is_hidden = hangs_on_chosen | (restates & ~triples.is_chosen)
    masked = MaskedBatch(
        root_input_ids=root_input_ids,
        mlm_labels=batch.root_ids.masked_fill(~is_chosen, NO_LABEL),
        leaf_input_ids=batch.leaf_ids,
        leaf_is_hidden=is_hidden[batch.leaf_triples],
        relation_inputs=batch.triple_relations,
        relation_labels=torch.full_like(batch.triple_relations, NO_LABEL),
    )
    if settings.mnm_target == "tails":
        return _mask_tails(batch, masked, triples, settings, draws, vocab_size)
    return _mask_relations(batch, masked, triples, settings, draws)


def evaluation_masks(batch: RaggedBatch, settings: MaskSettings, vocab_size: int) -> MaskedBatch:
    """Mask held-out windows: the same for every run, epoch and batch.

    Everything chosen is masked: what is asked for is never to be seen. Of at most 15% of the
    triples the relations are asked for, whatever was trained.
    """
    unseen = replace(
        settings,
        masked_share=1.0,
        random_share=0.0,
        mnm_share=min(settings.mnm_share, EVALUATION_MNM_SHARE),
        mnm_target="relations",
    )
    return mask_batch(batch, unseen, EVALUATION_SEED, EVALUATION_EPOCH, vocab_size)


def mask_roots(batch: RaggedBatch, is_chosen: Tensor, settings: MaskSettings) -> MaskedBatch:
    """Mask the chosen roots (R,) bool, and hide every leaf that would give one away."""
    root_keys, leaf_keys = _mention_keys(batch)
    is_hidden = _head_is_chosen(batch, is_chosen) | _restates(batch, leaf_keys, root_keys)
    return MaskedBatch(
        root_input_ids=batch.root_ids.masked_fill(is_chosen, settings.mask_token_id),
        mlm_labels=batch.root_ids.masked_fill(~is_chosen, NO_LABEL),
        leaf_input_ids=batch.leaf_ids,
        leaf_is_hidden=is_hidden[batch.leaf_triples],
        relation_inputs=batch.triple_relations,
        relation_labels=torch.full_like(batch.triple_relations, NO_LABEL),
    )


@dataclass(frozen=True)
class _Draws:
    """Keys of the random numbers of one batch, by what is decided."""

    batch: RaggedBatch
    seed: int
    epoch: int

    def window_keys(self, stream: int) -> Tensor:
        return window_keys(self.batch.window_ids, self.seed, self.epoch, stream)  # (W,)

    def root_keys(self, stream: int) -> Tensor:
        return self.window_keys(stream)[self.batch.root_windows]  # (R,)

    def triple_keys(self, stream: int) -> Tensor:
        return self.window_keys(stream)[self.batch.triple_windows]  # (T,)


def _choose_spans(batch: RaggedBatch, settings: MaskSettings, draws: _Draws) -> Tensor:
    """Return for each root (R,) the index in its window of the first root of its span, -1 none.

    As in SpanBERT (Joshi et al. 2020) spans are drawn one after another until the window's budget
    is spent, and the last one is cut to fit. Here all at once: every root starts a span of random
    length and priority, a root belongs to the first of the spans that cover it, and the budget goes
    to the roots in the order of their spans. <s>, </s> and synthetic names are in no span.
    """
    is_maskable = batch.root_bytes > 0
    starts, priorities = _first_covering_span(batch, is_maskable, settings, draws)
    # Roots by window, then by span, then by index; those that cannot be masked end their window.
    order = torch.argsort((batch.root_windows << (_PRIORITY_BITS + 1)) + priorities, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    num_roots = torch.bincount(batch.root_windows, minlength=batch.num_windows)
    ranks -= (num_roots.cumsum(0) - num_roots)[batch.root_windows]
    budgets = _budgets(batch, is_maskable, settings, draws)
    return starts.masked_fill(ranks >= budgets[batch.root_windows], -1)


def _first_covering_span(
    batch: RaggedBatch, is_maskable: Tensor, settings: MaskSettings, draws: _Draws
) -> tuple[Tensor, Tensor]:
    """Return for each root (R,) where its span starts, and the span's priority, low before high."""
    last = 1 << _PRIORITY_BITS
    priorities = bits(draws.root_keys(_PRIORITY), batch.root_index) & (last - 1)
    lengths = _span_lengths(uniform(draws.root_keys(_LENGTH), batch.root_index), settings)
    places = torch.arange(len(lengths), device=lengths.device)
    candidates = []
    for offset in range(settings.max_span):
        start = (places - offset).clamp(min=0)
        covers = (lengths[start] > offset) & (batch.root_index >= offset)
        covers &= is_maskable & is_maskable[start]
        candidates.append(torch.where(covers, priorities[start], last))
    first, offsets = torch.stack(candidates).min(dim=0)  # (max_span, R) -> (R,)
    return batch.root_index - offsets, first


def _span_lengths(uniforms: Tensor, settings: MaskSettings) -> Tensor:
    """Return lengths 1 .. max_span, geometric, by comparison with the cumulated probabilities."""
    lengths = torch.arange(1, settings.max_span + 1, dtype=torch.float64)
    cumulated = 1.0 - (1.0 - settings.span_stop) ** lengths
    bounds = (cumulated / cumulated[-1])[:-1].float().to(uniforms.device)
    return 1 + torch.bucketize(uniforms, bounds, right=True)


def _budgets(
    batch: RaggedBatch, is_maskable: Tensor, settings: MaskSettings, draws: _Draws
) -> Tensor:
    """Return how many roots of each window (W,) to choose: the share, rounded at random."""
    num_maskable = torch.bincount(batch.root_windows[is_maskable], minlength=batch.num_windows)
    keys = draws.window_keys(_BUDGET)
    remainder = bits(keys, torch.zeros_like(keys)) & ((1 << _BUDGET_BITS) - 1)
    share = round(settings.mlm_share * (1 << _BUDGET_BITS))
    return (num_maskable * share + remainder) >> _BUDGET_BITS


def _corrupt_roots(
    batch: RaggedBatch, spans: Tensor, settings: MaskSettings, draws: _Draws, vocab_size: int
) -> Tensor:
    """Return the input ids (R,): of the spans 80% masked, 10% random tokens, 10% as they were."""
    actions = uniform(draws.root_keys(_SPAN_ACTION), spans)  # one for all roots of a span
    is_masked, is_random = _split_actions(actions, spans >= 0, settings)
    random_ids = integers(
        draws.root_keys(_TOKEN), batch.root_index, FIRST_ORDINARY_TOKEN, vocab_size
    )
    input_ids = batch.root_ids.masked_fill(is_masked, settings.mask_token_id)
    return torch.where(is_random, random_ids, input_ids)


@dataclass(frozen=True)
class _ChosenTriples:
    """What MNM asks about, (T,) bool each."""

    is_chosen: Tensor
    is_masked: Tensor  # what is asked for gives way to a mask
    is_random: Tensor  # .. or to something random


def _choose_triples(
    batch: RaggedBatch, can_be_seen: Tensor, settings: MaskSettings, draws: _Draws
) -> _ChosenTriples:
    """Choose a share of the triples that can be seen, (T,) bool, and have leaves."""
    num_leaves = torch.bincount(batch.leaf_triples, minlength=len(batch.triple_relations))
    is_chosen = can_be_seen & (num_leaves > 0)
    is_chosen &= uniform(draws.triple_keys(_TRIPLE), batch.triple_index) < settings.mnm_share
    actions = uniform(draws.triple_keys(_TRIPLE_ACTION), batch.triple_index)
    return _ChosenTriples(is_chosen, *_split_actions(actions, is_chosen, settings))


def _mask_relations(
    batch: RaggedBatch,
    masked: MaskedBatch,
    triples: _ChosenTriples,
    settings: MaskSettings,
    draws: _Draws,
) -> MaskedBatch:
    """Ask for the relation of each chosen triple, the same in all its slots."""
    random_relations = integers(
        draws.triple_keys(_RELATION), batch.triple_index, 0, settings.num_relations
    )
    inputs = batch.triple_relations.masked_fill(triples.is_masked, settings.num_relations)
    return replace(
        masked,
        relation_inputs=torch.where(triples.is_random, random_relations, inputs),
        relation_labels=batch.triple_relations.masked_fill(~triples.is_chosen, NO_LABEL),
    )


def _mask_tails(
    batch: RaggedBatch,
    masked: MaskedBatch,
    triples: _ChosenTriples,
    settings: MaskSettings,
    draws: _Draws,
    vocab_size: int,
) -> MaskedBatch:
    """Ask for all tokens of each chosen triple's leaves (MNM of arXiv 2510.09580)."""
    keys = draws.window_keys(_LEAF_TOKEN)[batch.leaf_windows]  # (F,)
    places = batch.root_index[batch.leaf_roots] * batch.layout.leaves_per_root + batch.leaf_slots
    random_ids = integers(keys, places, FIRST_ORDINARY_TOKEN, vocab_size)
    is_chosen, is_masked, is_random = (
        each[batch.leaf_triples]
        for each in (triples.is_chosen, triples.is_masked, triples.is_random)
    )
    inputs = masked.leaf_input_ids.masked_fill(is_masked, settings.mask_token_id)
    return replace(
        masked,
        leaf_input_ids=torch.where(is_random, random_ids, inputs),
        leaf_labels=batch.leaf_ids.masked_fill(~is_chosen, NO_LABEL),
    )


def _split_actions(
    actions: Tensor, is_chosen: Tensor, settings: MaskSettings
) -> tuple[Tensor, Tensor]:
    """Return (is masked, is replaced at random) from uniform numbers."""
    is_masked = is_chosen & (actions < settings.masked_share)
    is_random = is_chosen & ~is_masked & (actions < settings.masked_share + settings.random_share)
    return is_masked, is_random


def _head_is_chosen(batch: RaggedBatch, is_chosen: Tensor) -> Tensor:
    """Return for each triple (T,) whether the mention that it hangs on has a chosen root."""
    num_before = torch.nn.functional.pad(is_chosen.long().cumsum(0), (1, 0))
    ends = batch.triple_head_starts + batch.triple_head_lengths
    return num_before[ends] > num_before[batch.triple_head_starts]


def _restates(batch: RaggedBatch, leaf_keys: Tensor, root_keys: Tensor) -> Tensor:
    """Return for each triple (T,) whether it is local and a mention of what its leaves spell has a
    root with one of these keys."""
    is_restated = torch.isin(leaf_keys, root_keys)
    num_restated = torch.bincount(
        batch.leaf_triples[is_restated], minlength=len(batch.triple_relations)
    )
    return (num_restated > 0) & ~batch.triple_is_knowledge


def _mention_keys(batch: RaggedBatch) -> tuple[Tensor, Tensor]:
    """Return a key for each root (R,) and leaf (F,): the same where a mention has the same part.

    A token is part of a mention by its name or, where it is no part of a name (the dot of `a.b`),
    by standing between the same two names.
    """
    root_keys = torch.where(
        batch.root_names >= 0,
        _name_keys(batch.root_windows, batch.root_names),
        _joint_keys(batch.root_windows, batch.root_windows, batch.root_names, batch.root_ids),
    )
    leaf_keys = torch.where(
        batch.leaf_names >= 0,
        _name_keys(batch.leaf_windows, batch.leaf_names),
        _joint_keys(batch.leaf_windows, batch.leaf_triples, batch.leaf_names, batch.leaf_ids),
    )
    return root_keys, leaf_keys


def _name_keys(windows: Tensor, names: Tensor) -> Tensor:
    """Return a key >= 0 for each name of each window."""
    return (windows << _NAME_BITS) + names


def _joint_keys(windows: Tensor, runs: Tensor, names: Tensor, ids: Tensor) -> Tensor:
    """Return a key < 0 for each (window, name before, token, name after), within a run."""
    is_joined = runs[1:] == runs[:-1]
    before, after = torch.full_like(names, -1), torch.full_like(names, -1)
    before[1:] = names[:-1].where(is_joined, -1)
    after[:-1] = names[1:].where(is_joined, -1)
    around = (((windows << _NAME_BITS) + before + 1) << _NAME_BITS) + after + 1
    return -1 - ((around << _TOKEN_BITS) + ids)
