"""Measures add up by source, and a task's report is the same after a journey through JSON."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphmert.evaluation.measures import Measure, SourceSum, TaskReport, measure
from graphmert.evaluation.ranking import mean_ranks, rank_measures


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-9, 9)), max_size=30))
def test_sums_are_those_of_each_source(figures: list[tuple[str, float]]) -> None:
    found = measure([value for _, value in figures], [source for source, _ in figures])
    for source in "abc":
        own = [value for name, value in figures if name == source]
        if own:
            assert found.by_source[source].num_questions == len(own)
            assert found.by_source[source].total == pytest.approx(sum(own))
        else:
            assert source not in found.by_source
    values = [value for _, value in figures]
    assert found.mean == pytest.approx(sum(values) / len(values) if values else 0.0)


def test_a_report_survives_json() -> None:
    hits = Measure({"path:a": SourceSum(3, 2.0), "path:b": SourceSum(1, 0.5)})
    report = TaskReport({"hits": hits}, {"chance": {"hits": hits}}, {"num_questions": 4.0})
    again = TaskReport.from_dict(json.loads(json.dumps(asdict(report))))
    assert again == report
    assert report.metrics() == {
        "hits": 0.625,
        "baseline_chance/hits": 0.625,
        "num_questions": 4.0,
    }


@given(st.integers(0, 2**32 - 1))
def test_ranks_equal_the_mean_place_over_all_orders_of_equal_scores(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 4, (5, 7)).astype(float)
    targets = generator.integers(0, 7, 5)
    is_out = generator.random((5, 7)) < 0.3
    is_out[np.arange(5), targets] = False
    for row, rank in enumerate(mean_ranks(scores, targets, is_out)):
        kept = [scores[row, at] for at in range(7) if not is_out[row, at]]
        ordered = sorted(kept, reverse=True)
        places = [at + 1 for at, score in enumerate(ordered) if score == scores[row, targets[row]]]
        assert rank == sum(places) / len(places)


def test_rank_measures_are_hits_and_reciprocal_ranks() -> None:
    found = rank_measures(np.array([1.0, 4.0, 20.0]), np.array(["a", "a", "b"]), "local_")
    assert {name: each.mean for name, each in found.items()} == pytest.approx(
        {"local_hits_at_1": 1 / 3, "local_hits_at_10": 2 / 3, "local_mrr": (1 + 0.25 + 0.05) / 3}
    )
    assert found["local_mrr"].by_source["b"] == SourceSum(1, 0.05)
