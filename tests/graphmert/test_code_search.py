"""Code search on a small data set, against one function at a time; BM25 beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from graphmert.data.leaf_choice import LeafChoice, choose_leaves
from graphmert.data.windows import WindowTable
from graphmert.evaluation.bm25 import score_bm25, words
from graphmert.evaluation.code_search import (
    SearchTask,
    embed_pairs,
    make_search_task,
    score_search,
    search_report,
    tune_search,
)
from graphmert.evaluation.function_pairs import FunctionPair, FunctionPairs, make_pairs
from graphmert.evaluation.tuning import TuneSettings
from graphmert.models.graphmert import GraphMERTModel


@pytest.fixture(scope="module")
def pairs(train_windows: WindowTable, tokenizer: Tokenizer) -> FunctionPairs:
    return make_pairs(train_windows, tokenizer, num_pairs=24)


def slow_code_vector(
    tiny_model: GraphMERTModel, pair: FunctionPair, train_windows: WindowTable
) -> torch.Tensor:
    """Return the mean state of a function's tokens from whole windows of 1,024 positions."""
    layout = tiny_model.config.layout
    states = []
    for index, cut in zip(pair.windows, pair.cuts, strict=True):
        batch = train_windows.batch([index])
        kept = [root for root in range(len(batch.root_ids)) if root not in cut]
        new = {root: at for at, root in enumerate(kept)}
        ids = torch.ones(1, layout.num_nodes, dtype=torch.int64)
        types, attention = torch.zeros_like(ids), torch.zeros_like(ids)
        slots = torch.full((1, layout.num_roots, layout.leaves_per_root), -1)
        graph, relations, starts, lengths = (slots.clone() for _ in range(4))
        is_knowledge = torch.zeros_like(slots, dtype=torch.bool)
        ids[0, : len(kept)], attention[0, : len(kept)] = batch.root_ids[kept], 1
        for leaf in range(len(batch.leaf_ids)):
            triple, root = int(batch.leaf_triples[leaf]), int(batch.leaf_roots[leaf])
            start = int(batch.triple_head_starts[triple])
            length = int(batch.triple_head_lengths[triple])
            owners = batch.leaf_roots[batch.leaf_triples == triple].tolist()
            if {*range(start, start + length), *owners} - new.keys():
                continue
            slot = int(batch.leaf_slots[leaf])
            place = int(layout.leaf_position(new[root], slot))
            ids[0, place], types[0, place] = batch.leaf_ids[leaf], 1
            attention[0, place], graph[0, new[root], slot] = 1, place
            relations[0, new[root], slot] = batch.triple_relations[triple]
            starts[0, new[root], slot], lengths[0, new[root], slot] = new[start], length
            is_knowledge[0, new[root], slot] = batch.triple_is_knowledge[triple]
        hidden = tiny_model(
            ids,
            attention,
            types,
            graph,
            relations,
            head_starts=starts,
            head_lengths=lengths,
            is_knowledge=is_knowledge,
        ).last_hidden_state
        states += [hidden[0, new[root]] for root in kept if batch.root_bytes[root] > 0]
    return torch.stack(states).mean(dim=0)


def test_vectors_are_the_mean_states_of_cut_windows(
    tiny_model: GraphMERTModel,
    pairs: FunctionPairs,
    train_windows: WindowTable,
    tokenizer: Tokenizer,
) -> None:
    chosen = np.array([3, 0, 7])
    assert any(len(pairs.pairs[at].windows) > 1 for at in range(len(pairs)))
    queries, codes = embed_pairs(tiny_model, pairs, chosen, train_windows, tokenizer)
    for row, at in enumerate(chosen):
        with torch.no_grad():
            vector = slow_code_vector(tiny_model, pairs.pairs[at], train_windows).double().numpy()
        np.testing.assert_allclose(codes[row], vector / np.linalg.norm(vector), atol=1e-5)
    assert np.linalg.norm(queries, axis=1) == pytest.approx(np.ones(3))


def test_leaves_change_the_code_s_vector_and_not_the_query_s(
    tiny_model: GraphMERTModel,
    pairs: FunctionPairs,
    train_windows: WindowTable,
    tokenizer: Tokenizer,
) -> None:
    chosen = np.arange(8)
    bare = choose_leaves(train_windows, LeafChoice.NONE, seed=0)
    with_leaves = embed_pairs(tiny_model, pairs, chosen, train_windows, tokenizer)
    without = embed_pairs(tiny_model, pairs, chosen, bare, tokenizer)
    np.testing.assert_allclose(with_leaves[0], without[0])
    assert not np.allclose(with_leaves[1], without[1])


def test_ranks_are_places_among_the_functions_of_the_pool(pairs: FunctionPairs) -> None:
    task = SearchTask(pairs, (np.arange(5), np.arange(5, 12)))
    generator = np.random.default_rng(0)
    similarities = [generator.random((5, 5)), generator.random((7, 7))]
    report = search_report(task, similarities)
    expected = []
    for scores in similarities:
        for query, row in enumerate(scores):
            expected.append(1 / (1 + sorted(row, reverse=True).index(row[query])))
    assert report.measures["mrr"].mean == pytest.approx(np.mean(expected))
    assert report.counts == {"num_queries": 12, "num_candidates": 5}


def test_pools_hold_a_thousand_or_all(pairs: FunctionPairs) -> None:
    many = replace(pairs, pairs=pairs.pairs[:1] * 2345, sources=np.repeat(pairs.sources[:1], 2345))
    pools = make_search_task(many, seed=1).pools
    assert [len(pool) for pool in pools] == [1000, 1000]
    assert len(set(np.concatenate(pools).tolist())) == 2000
    (pool,) = make_search_task(pairs, seed=1).pools
    assert sorted(pool.tolist()) == list(range(len(pairs)))


def test_a_short_tune_finds_what_it_was_tuned_on_and_leaves_the_model_alone(
    tiny_model: GraphMERTModel,
    pairs: FunctionPairs,
    train_windows: WindowTable,
    tokenizer: Tokenizer,
) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    task = make_search_task(pairs)
    settings = TuneSettings(num_updates=8, batch_size=8, learning_rate=3e-3)
    tuned = tune_search(tiny_model, pairs, train_windows, tokenizer, settings)
    again = tune_search(tiny_model, pairs, train_windows, tokenizer, settings)
    for name, value in tiny_model.state_dict().items():
        assert value.equal(before[name])
        assert tuned.state_dict()[name].equal(again.state_dict()[name])
    scores = [score_search(each, task, train_windows, tokenizer) for each in (tiny_model, tuned)]
    raw, after = (each.measures["mrr"].mean for each in scores)
    assert after > raw + 0.05


def test_bm25_finds_functions_by_their_words(pairs: FunctionPairs) -> None:
    task = make_search_task(pairs)
    found = score_bm25(task)["mrr"]
    chance = search_report(task, [np.zeros((len(pairs), len(pairs)))]).measures["mrr"]
    assert found.num_questions == len(pairs)
    assert found.mean > 2 * chance.mean


def test_words_are_parts_of_identifiers() -> None:
    assert words("HTTPServer_v2 getURL x=parseÄ(3)") == [
        *("http", "server", "v", "2", "get", "url", "x", "parse", "ä", "3")
    ]


def test_a_query_without_a_word_ranks_as_chance_does(pairs: FunctionPairs) -> None:
    wordless = [replace(pair, query="--- --- ---") for pair in pairs.pairs[:4]]
    task = SearchTask(replace(pairs, pairs=tuple(wordless)), (np.arange(4),))
    assert score_bm25(task)["mrr"].mean == pytest.approx(1 / 2.5)
