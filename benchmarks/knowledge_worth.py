"""What leaves can be worth before anything is trained: bounds for the graph study.

    python benchmarks/knowledge_worth.py --data data/carried

(the folder that `graph_study_data.py` writes). Three questions, on the validation split:

- Of the masked tokens that only a knowledge leaf shows: how many are there, and among how many
  tokens of visible knowledge leaves would a model have to choose?
- How many of the names that are asked for would be told by which local leaves are masked, if only
  those that spell a masked name were (which is why masking.py hides all that restate the window)?
- Does BM25 find more functions by their docstring where the text of their leaves, or the names of
  what they stand in, is added to their code?
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from graph_study_data import read
from tokenizers import Tokenizer

from graph_builder.relations import CONTAINS, HAS_FIELD
from graphmert.data.windows import WindowTable
from graphmert.evaluation.bm25 import score_bm25
from graphmert.evaluation.code_search import make_search_task
from graphmert.evaluation.evaluate import knowledge_only
from graphmert.evaluation.function_pairs import FunctionPair, FunctionPairs, make_pairs
from graphmert.evaluation.identifier_completion import make_name_task
from graphmert.evaluation.token_texts import text_ids
from graphmert.study.data import StudyData
from graphmert.study.settings import StudySettings
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import evaluation_masks

WINDOWS_PER_BATCH = 512


@dataclass(frozen=True)
class RareToken:
    """A masked token that only knowledge shows."""

    num_candidates: int  # distinct tokens of the window's visible knowledge leaves
    num_near: int  # of them those that hang on the last root before the token that has any
    is_near: bool  # the answer is one of these


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--num_questions", type=int, default=2000, help="of names and code search")
    options = parser.parse_args()
    data = read(options.data)
    table = data.held_out["validation"]
    print("\n".join(rare_lines(data, table)))
    print(told_line(data.tokenizer, table, options.num_questions))
    print("\n".join(search_lines(data.tokenizer, table, options.num_questions)))


def rare_lines(data: StudyData, table: WindowTable) -> Iterator[str]:
    num_masked, rare = 0, list[RareToken]()
    for start in range(0, table.num_windows, WINDOWS_PER_BATCH):
        end = min(start + WINDOWS_PER_BATCH, table.num_windows)
        num, found = rare_tokens(data, table, range(start, end))
        num_masked += num
        rare += found
    candidates = np.array([each.num_candidates for each in rare])
    near = np.array([each.num_near for each in rare if each.num_near])
    is_near = np.array([each.is_near for each in rare])
    of_knowledge = table.triple_relations[table.triple_is_knowledge]
    members = torch.isin(of_knowledge, torch.tensor([CONTAINS, HAS_FIELD])).double().mean()
    yield f"masked tokens: {num_masked:,}; knowledge alone shows {len(rare) / num_masked:.2%}"
    yield f"candidates for these, median: {np.median(candidates):.0f}"
    yield f"right by drawing one of them at random: {(1 / candidates).mean():.1%}"
    yield f"answer hangs on the last root before it that has knowledge: {is_near.mean():.1%}"
    yield f"candidates there, median: {np.median(near):.0f}"
    yield f"knowledge that says what a class or module contains or has: {members:.1%}"


def rare_tokens(data: StudyData, table: WindowTable, windows: range) -> tuple[int, list[RareToken]]:
    """Return the number of masked tokens of some windows, and those that only knowledge shows."""
    batch, texts = table.batch(windows), text_ids(data.tokenizer)
    masked = evaluation_masks(batch, StudySettings().masks(data), data.vocab_size)
    shown: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by window: root, text
    is_visible = batch.triple_is_knowledge[batch.leaf_triples] & ~masked.leaf_is_hidden
    for window, root, token in zip(
        batch.leaf_windows[is_visible].tolist(),
        batch.leaf_roots[is_visible].tolist(),
        texts[batch.leaf_ids[is_visible]].tolist(),
        strict=True,
    ):
        shown[window].append((root, token))
    found = []
    for root in knowledge_only(batch, masked, texts).nonzero().flatten().tolist():
        leaves = shown[int(batch.root_windows[root])]
        last = max((at for at, _ in leaves if at < root), default=-1)
        near = {token for at, token in leaves if at == last}
        answer = int(texts[batch.root_ids[root]])
        found.append(RareToken(len({token for _, token in leaves}), len(near), answer in near))
    return int((masked.mlm_labels != NO_LABEL).sum()), found


def told_line(tokenizer: Tokenizer, table: WindowTable, num_questions: int) -> str:
    task = make_name_task(table, tokenizer, num_questions)
    is_told = []
    for window, start in zip(
        task.windows[task.is_drawn].tolist(), task.starts[task.is_drawn].tolist(), strict=True
    ):
        spelled_by = local_triples(table, window)
        name = int(table.root_names[int(table.root_offsets[window]) + start])
        own = spelled_by.get(name)
        is_told.append(own is not None and list(spelled_by.values()).count(own) == 1)
    return f"names that the masked local leaves alone would tell: {np.mean(is_told):.1%}"


def local_triples(table: WindowTable, window: int) -> dict[int, set[int]]:
    """Return for each name that local leaves of a window spell the triples that they are of."""
    first, end = table.leaf_offsets[window : window + 2].tolist()
    is_knowledge = table.triple_is_knowledge[table.triple_offsets[window] :]
    found: dict[int, set[int]] = defaultdict(set)
    for name, triple in zip(
        table.leaf_names[first:end].tolist(), table.leaf_triples[first:end].tolist(), strict=True
    ):
        if name >= 0 and not is_knowledge[triple]:
            found[name].add(triple)
    return found


def search_lines(tokenizer: Tokenizer, table: WindowTable, num_pairs: int) -> Iterator[str]:
    pairs = make_pairs(table, tokenizer, num_pairs)
    names: list[str] = table.strings["qualified_name"].to_pylist()

    def leaves(is_knowledge: bool) -> Callable[[FunctionPair], str]:
        return lambda pair: " ".join(
            text
            for window in pair.windows
            for text in leaf_texts(tokenizer, table, window, is_knowledge)
        )

    added: dict[str, Callable[[FunctionPair], str]] = {
        "its code alone": lambda pair: "",
        "and its local leaves": leaves(False),
        "and its knowledge leaves": leaves(True),
        "and the names of what it stands in": lambda pair: (
            names[pair.windows[0]].rpartition(".")[0].replace(".", " ")
        ),
    }
    for title, text_of in added.items():
        longer = [replace(pair, code=f"{pair.code}\n{text_of(pair)}") for pair in pairs.pairs]
        task = make_search_task(FunctionPairs(tuple(longer), pairs.sources))
        yield f"BM25 over a function's code, {title}: MRR {score_bm25(task)['mrr'].mean:.3f}"


def leaf_texts(
    tokenizer: Tokenizer, table: WindowTable, window: int, is_knowledge: bool
) -> list[str]:
    """Return what the leaves of each triple of one kind spell."""
    first, end = table.leaf_offsets[window : window + 2].tolist()
    kinds = table.triple_is_knowledge[table.triple_offsets[window] :]
    by_triple: dict[int, list[int]] = defaultdict(list)
    for triple, token in zip(
        table.leaf_triples[first:end].tolist(), table.leaf_ids[first:end].tolist(), strict=True
    ):
        if bool(kinds[triple]) == is_knowledge:
            by_triple[triple].append(token)
    return [tokenizer.decode(ids) for ids in by_triple.values()]


if __name__ == "__main__":
    main()
