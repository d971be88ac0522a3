"""BM25 at code search: the words of a query against the words of the code, nothing learnt."""

import re

import numpy as np

from graph_builder.errors import UserError
from graphmert.evaluation.code_search import SearchTask, search_report
from graphmert.evaluation.measures import Measures
from graphmert.evaluation.ranking import FloatArray

# Identifiers are taken apart, `HTTPServer_v2` into http, server, v and 2.
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def score_bm25(task: SearchTask) -> Measures:
    """Rank each pool's functions by BM25."""
    pairs = task.pairs.pairs
    similarities = [
        _similarities([pairs[at].query for at in pool], [pairs[at].code for at in pool])
        for pool in task.pools
    ]
    return search_report(task, similarities).measures


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower() for word in WORDS.findall(text)]


def _similarities(queries: list[str], codes: list[str]) -> FloatArray:
    try:
        import bm25s  # noqa: PLC0415 (not there where models are only trained)
    except ImportError as error:
        raise UserError(
            "code search is read against BM25, and bm25s is not installed: "
            "install it, or name other --tasks"
        ) from error
    index = bm25s.BM25()
    index.index([words(code) for code in codes], show_progress=False)
    nothing = np.zeros(len(codes))  # for a query without a word, which bm25s does not take
    return np.stack(
        [index.get_scores(asked) if (asked := words(query)) else nothing for query in queries]
    )
