"""Code search: find the function that a docstring is about among a thousand.

CodeSearchNet's protocol (Husain et al. 2019): the docstring's first paragraph asks, the function
without its docstring is looked for among 1,000 of the split, its distractors being the other
queries' functions. Both are the mean of their tokens' final states, compared by cosine.
Legend: P pairs, W windows, R roots, B rows of N tokens, C hidden size.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from graphmert.data.cutting import cut_roots, plain_windows
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.function_pairs import FunctionPair, FunctionPairs
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.questions import unmasked
from graphmert.evaluation.ranking import FloatArray, mean_ranks, rank_measures
from graphmert.evaluation.tuning import TuneSettings, asking, copy_model, tune
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL

POOL_SIZE = 1000  # candidates of a query, its own function included
PAIRS_PER_BATCH = 64
TEMPERATURE = 0.05  # of the contrastive loss, as in SimCSE (Gao et al. 2021)


@dataclass(frozen=True)
class SearchTask:
    """Pairs of a split, and the pools in which they are each other's distractors."""

    pairs: FunctionPairs
    pools: tuple[npt.NDArray[np.int64], ...]  # indices of pairs


def make_search_task(pairs: FunctionPairs, seed: int = 0) -> SearchTask:
    """Shuffle the pairs into pools of 1,000; fewer pairs are one pool, a last part is left out."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    num_pools = max(1, len(pairs) // POOL_SIZE)
    return SearchTask(
        pairs, tuple(order[at * POOL_SIZE : (at + 1) * POOL_SIZE] for at in range(num_pools))
    )


def score_search(
    model: GraphMERTModel, task: SearchTask, table: WindowTable, tokenizer: Tokenizer
) -> TaskReport:
    """Rank each pool's functions for each of its queries; `table` is the one that the pairs are
    of, with whichever leaves."""
    vectors = [embed_pairs(model, task.pairs, pool, table, tokenizer) for pool in task.pools]
    return search_report(task, [queries @ codes.T for queries, codes in vectors])


def search_report(task: SearchTask, similarities: list[FloatArray]) -> TaskReport:
    """Return what (queries, functions) similarities of each pool come to."""
    ranks = [mean_ranks(each, np.arange(len(each))) for each in similarities]
    sources = task.pairs.sources[np.concatenate(task.pools)]
    chance = [np.full(len(each), (1 + len(each)) / 2) for each in similarities]
    return TaskReport(
        measures=rank_measures(np.concatenate(ranks), sources),
        baselines={"chance": rank_measures(np.concatenate(chance), sources)},
        counts={
            "num_queries": float(len(sources)),
            "num_candidates": float(len(task.pools[0])),
        },
    )


def embed_pairs(
    model: GraphMERTModel,
    pairs: FunctionPairs,
    chosen: npt.NDArray[np.int64],
    table: WindowTable,
    tokenizer: Tokenizer,
) -> tuple[FloatArray, FloatArray]:
    """Return the unit vectors (P, C) of the chosen pairs' queries and of their functions."""
    queries, codes = [], []
    with asking(model):
        for start in range(0, len(chosen), PAIRS_PER_BATCH):
            part = [pairs.pairs[at] for at in chosen[start : start + PAIRS_PER_BATCH]]
            queries.append(query_vectors(model, part, tokenizer).double().cpu().numpy())
            codes.append(code_vectors(model, part, table).double().cpu().numpy())
    return np.concatenate(queries), np.concatenate(codes)


def tune_search(
    model: GraphMERTModel,
    pairs: FunctionPairs,
    table: WindowTable,
    tokenizer: Tokenizer,
    settings: TuneSettings,
) -> GraphMERTModel:
    """Return a copy of the model that was trained for a while to tell a query's function from those
    of the other queries of a batch, and the other way round. `table` is of the train split."""
    tuned = copy_model(model)

    def loss_of(chosen: Tensor) -> Tensor:
        part = [pairs.pairs[at] for at in chosen.tolist()]
        queries = query_vectors(tuned, part, tokenizer)
        codes = code_vectors(tuned, part, table)
        scores = queries.float() @ codes.float().T / TEMPERATURE
        own = torch.arange(len(part), device=scores.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2

    tune([tuned], len(pairs), loss_of, settings)
    return tuned


def query_vectors(model: GraphMERTModel, pairs: list[FunctionPair], tokenizer: Tokenizer) -> Tensor:
    """Return the unit vectors (P, C) of queries, read as windows without leaves."""
    encoded = tokenizer.encode_batch([pair.query for pair in pairs], add_special_tokens=False)
    batch = plain_windows(
        [each.ids for each in encoded],
        *_start_and_end(tokenizer),
        model.config.layout,
        model.device,
    )
    return _mean_states(model, batch, torch.arange(len(pairs)), len(pairs))


def code_vectors(model: GraphMERTModel, pairs: list[FunctionPair], table: WindowTable) -> Tensor:
    """Return the unit vectors (P, C) of functions without their docstrings."""
    windows = [window for pair in pairs for window in pair.windows]
    owners = torch.repeat_interleave(torch.tensor([len(pair.windows) for pair in pairs]))
    cuts = torch.tensor([[cut.start, cut.stop] for pair in pairs for cut in pair.cuts])
    batch = table.batch(windows)
    first, end = cuts.to(batch.root_windows.device)[batch.root_windows].T
    is_cut = (batch.root_index >= first) & (batch.root_index < end)
    return _mean_states(model, cut_roots(batch, is_cut), owners, len(pairs))


def _start_and_end(tokenizer: Tokenizer) -> tuple[int, int]:
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    assert start is not None
    assert end is not None  # the builder refuses a tokenizer without them
    return start, end


def _mean_states(
    model: GraphMERTModel, batch: RaggedBatch, owners: Tensor, num_texts: int
) -> Tensor:
    """Return (texts, C): the mean final state of the own tokens of each text's windows, at length
    1. `owners` (W,) says which text a window is of, ascending."""
    is_own = batch.root_bytes > 0  # no <s>, no </s>, no synthetic name
    labels = batch.root_ids.masked_fill(~is_own, NO_LABEL)  # labels mark what is asked for
    rows = pack(batch, replace(unmasked(batch), mlm_labels=labels)).to(model.device)
    states = model.encode(rows.inputs).flatten(0, 1)[rows.mlm_tokens].float()
    texts = owners.to(is_own.device)[batch.root_windows[is_own]]
    lengths = torch.bincount(texts, minlength=num_texts).to(states.device)
    return F.normalize(torch.segment_reduce(states, "mean", lengths=lengths), dim=-1)
