"""Code search on a small data set, against one function at a time; BM25 beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from graphmert.data.leaf_choice import LeafChoice, choose_leaves
from graphmert.data.windows import WindowTable
from graphmert.evaluation import code_search
from graphmert.evaluation.bm25 import score_bm25, words
from graphmert.evaluation.code_search import (
    SearchTask,
    make_search_task,
    pool_similarities,
    score_search,
    search_report,
    tune_search,
)
from graphmert.evaluation.function_pairs import FunctionPair, FunctionPairs, make_pairs
from graphmert.evaluation.text_states import (
    TextStates,
    code_states,
    cosine_of_means,
    late_interaction,
    query_states,
)
from graphmert.evaluation.tuning import TuneSettings
from graphmert.models.graphmert import GraphMERTModel


@pytest.fixture(scope="module")
def pairs(train_windows: WindowTable, tokenizer: Tokenizer) -> FunctionPairs:
    return make_pairs(train_windows, tokenizer, num_pairs=24)


def slow_code_states(
    tiny_model: GraphMERTModel, pair: FunctionPair, train_windows: WindowTable
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states of a function's tokens, and those of its leaves, from whole windows of
    1,024 positions."""
    layout = tiny_model.config.layout
    own, leaves = [], []
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
        places = []
        for leaf in range(len(batch.leaf_ids)):
            triple, root = int(batch.leaf_triples[leaf]), int(batch.leaf_roots[leaf])
            start = int(batch.triple_head_starts[triple])
            length = int(batch.triple_head_lengths[triple])
            owners = batch.leaf_roots[batch.leaf_triples == triple].tolist()
            if {*range(start, start + length), *owners} - new.keys():
                continue
            slot = int(batch.leaf_slots[leaf])
            place = int(layout.leaf_position(new[root], slot))
            places.append(place)
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
        own += [hidden[0, new[root]] for root in kept if batch.root_bytes[root] > 0]
        leaves += list(hidden[0, places])
    return torch.stack(own), torch.stack(leaves)


def test_a_function_s_states_are_those_of_its_cut_windows(
    tiny_model: GraphMERTModel, pairs: FunctionPairs, train_windows: WindowTable
) -> None:
    chosen = [pairs.pairs[at] for at in (3, 0, 7)]
    assert any(len(pair.windows) > 1 for pair in chosen)
    with torch.no_grad():
        codes = code_states(tiny_model, chosen, train_windows)
        expected = [slow_code_states(tiny_model, pair, train_windows) for pair in chosen]
    lengths = codes.lengths.tolist()
    found = zip(codes.states.split(lengths), codes.is_leaf.split(lengths), strict=True)
    for (states, is_leaf), (own, leaves) in zip(found, expected, strict=True):
        torch.testing.assert_close(states[~is_leaf], own, rtol=0, atol=1e-5)
        torch.testing.assert_close(states[is_leaf], leaves, rtol=0, atol=1e-5)


def test_leaves_change_the_code_s_states_and_not_the_query_s(
    tiny_model: GraphMERTModel,
    pairs: FunctionPairs,
    train_windows: WindowTable,
    tokenizer: Tokenizer,
) -> None:
    bare = choose_leaves(train_windows, LeafChoice.NONE, seed=0)
    chosen = np.arange(8)
    with_leaves, without = (
        pool_similarities(tiny_model, pairs, chosen, table, tokenizer, cosine_of_means)
        for table in (train_windows, bare)
    )
    assert not np.allclose(with_leaves, without)
    queries = query_states(tiny_model, pairs.pairs[:8], tokenizer)
    assert queries.lengths.tolist() == [
        len(tokenizer.encode(pair.query, add_special_tokens=False)) for pair in pairs.pairs[:8]
    ]


def test_a_mean_is_of_a_text_s_own_tokens_and_an_interaction_with_its_leaves_too() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = [
        [torch.randn(length, 6, generator=generator) for length in lengths]
        for lengths in ([3, 1, 4], [5, 2])
    ]
    of_leaves = [
        [[False] * 3, [False], [False] * 4],
        [[False, False, True, False, True], [False] * 2],
    ]
    means, highest = torch.zeros(3, 2), torch.zeros(3, 2)
    for row, query in enumerate(texts[0]):
        for column, code in enumerate(texts[1]):
            own = code[~torch.tensor(of_leaves[1][column])]
            means[row, column] = torch.cosine_similarity(query.mean(0), own.mean(0), dim=0)
            cosines = torch.cosine_similarity(query[:, None], code[None], dim=2)
            highest[row, column] = sum(max(row.tolist()) for row in cosines) / len(query)
    queries, codes = (
        TextStates(
            torch.cat(each),
            torch.tensor([len(text) for text in each]),
            torch.cat([torch.tensor(flags) for flags in own_flags]),
        )
        for each, own_flags in zip(texts, of_leaves, strict=True)
    )
    torch.testing.assert_close(cosine_of_means(queries, codes), means)
    torch.testing.assert_close(late_interaction(queries, codes), highest)


def test_similarities_of_a_pool_do_not_depend_on_its_parts(
    tiny_model: GraphMERTModel,
    pairs: FunctionPairs,
    train_windows: WindowTable,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = tiny_model, pairs, np.arange(10), train_windows, tokenizer, late_interaction
    whole = pool_similarities(*asked)
    monkeypatch.setattr(code_search, "PAIRS_PER_BATCH", 4)
    np.testing.assert_allclose(pool_similarities(*asked), whole, atol=1e-5)


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
    scores = [
        score_search(each, task, train_windows, tokenizer, late_interaction)
        for each in (tiny_model, tuned)
    ]
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
