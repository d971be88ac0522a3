"""Code search: find the function that a docstring is about among a thousand.

CodeSearchNet's protocol (Husain et al. 2019): the docstring's first paragraph asks, the function
without its docstring is looked for among 1,000 of the split, its distractors being the other
queries' functions. A model as it is compares means of states by cosine; a tuned one lets the tokens
of query and function interact (`text_states.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from graphmert.data.windows import WindowTable
from graphmert.evaluation.function_pairs import FunctionPairs
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.ranking import FloatArray, mean_ranks, rank_measures
from graphmert.evaluation.text_states import (
    TextStates,
    code_states,
    late_interaction,
    query_states,
)
from graphmert.evaluation.tuning import TuneSettings, asking, copy_model, tune
from graphmert.models.graphmert import GraphMERTModel

POOL_SIZE = 1000  # candidates of a query, its own function included
PAIRS_PER_BATCH = 64
TEMPERATURE = 0.01  # of the contrastive loss; chosen on validation (docs/evaluation.md)

Similarity = Callable[[TextStates, TextStates], Tensor]  # (queries, functions)


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
    model: GraphMERTModel,
    task: SearchTask,
    table: WindowTable,
    tokenizer: Tokenizer,
    similarity: Similarity,
) -> TaskReport:
    """Rank each pool's functions for each of its queries; `table` is the one that the pairs are
    of, with whichever leaves."""
    return search_report(
        task,
        [
            pool_similarities(model, task.pairs, pool, table, tokenizer, similarity)
            for pool in task.pools
        ],
    )


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


def pool_similarities(
    model: GraphMERTModel,
    pairs: FunctionPairs,
    chosen: npt.NDArray[np.int64],
    table: WindowTable,
    tokenizer: Tokenizer,
    similarity: Similarity,
) -> FloatArray:
    """Return how alike each of the chosen pairs' queries is to each of their functions, (P, P)."""
    parts = [
        [pairs.pairs[at] for at in chosen[start : start + PAIRS_PER_BATCH]]
        for start in range(0, len(chosen), PAIRS_PER_BATCH)
    ]
    with asking(model):
        queries = [query_states(model, part, tokenizer) for part in parts]
        codes = [code_states(model, part, table) for part in parts]
    # Outside, and so in float32: cosines of bfloat16 would often be equal.
    return np.block(
        [[similarity(asked, read).double().cpu().numpy() for read in codes] for asked in queries]
    )


def tune_search(
    model: GraphMERTModel,
    pairs: FunctionPairs,
    table: WindowTable,
    tokenizer: Tokenizer,
    settings: TuneSettings,
) -> GraphMERTModel:
    """Return a copy of the model that was trained for a while to tell, by late interaction, a
    query's function from those of the other queries of a batch, and the other way round. `table` is
    of the train split. A batch is of one source, or of few: its functions are harder to tell apart.
    """
    tuned = copy_model(model)
    _, source_numbers = np.unique(pairs.sources, return_inverse=True)

    def loss_of(chosen: Tensor) -> Tensor:
        part = [pairs.pairs[at] for at in chosen.tolist()]
        queries, codes = query_states(tuned, part, tokenizer), code_states(tuned, part, table)
        scores = late_interaction(queries, codes) / TEMPERATURE
        own = torch.arange(len(part), device=scores.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2

    tune([tuned], len(pairs), loss_of, settings, keys=torch.from_numpy(source_numbers))
    return tuned
