"""Splits: each source in one, none empty."""

from collections import Counter

import pytest

from graph_builder.errors import UserError
from graph_builder.source_spec import parse_spec
from graph_builder.splits import hash_split, plan_splits


def planned(by_hand: dict[str, list[str]], by_rule: list[str], **before: str) -> dict[str, str]:
    return {source.spec.label: source.split for source in plan_splits(by_hand, by_rule, before)}


def test_the_rule_is_fixed_and_keeps_its_shares() -> None:
    specs = [parse_spec(f"installed:package{number}") for number in range(2000)]
    shares = Counter(hash_split(spec) for spec in specs)
    assert 1500 < shares["train"] < 1700
    assert 140 < shares["validation"] < 260
    assert 140 < shares["test"] < 260
    assert [hash_split(parse_spec(f"installed:{name}")) for name in ("a", "b", "c", "d")] == [
        "train", "train", "test", "validation",
    ]  # fmt: skip


def test_by_hand() -> None:
    by_hand = {"train": ["stdlib", "path:x"], "validation": ["installed:y"], "test": ["path:z"]}
    splits = {"stdlib": "train", "path:x": "train", "installed:y": "validation", "path:z": "test"}
    assert planned(by_hand, []) == splits


def test_held_out_packages_are_added_and_named() -> None:
    sources = plan_splits({"train": ["installed:click"]}, [], {})
    assert [(source.spec.label, source.split, source.is_added) for source in sources] == [
        ("installed:click", "train", False),
        ("installed:flask", "validation", True),
        ("installed:jinja2", "test", True),
    ]


@pytest.mark.parametrize(
    "text",
    ["path:somewhere/click", "pypi:click==8.1", "git+https://host.org/pallets/click.git@main"],
)
def test_no_package_is_held_out_that_is_trained_on(text: str) -> None:
    assert "installed:click" not in planned({"train": [text]}, [])


@pytest.mark.parametrize("needs_training", [True, False])
@pytest.mark.parametrize("number", range(8))
def test_one_source_is_trained_on_whatever_its_hash(number: int, needs_training: bool) -> None:
    plan = plan_splits({}, [f"path:project{number}"], {}, needs_training)
    splits = {source.spec.label: source.split for source in plan}
    assert splits.pop(f"path:project{number}") == "train"
    assert sorted(splits.values()) == ["test", "validation"]


def test_an_extension_keeps_its_splits() -> None:
    by_rule = [f"path:p{number}" for number in range(40)]
    first = planned({}, by_rule[:1])
    assert planned({}, by_rule, **first)["path:p0"] == "train"
    assert planned({}, by_rule, **{"path:p0": "test"})["path:p0"] == "test"


@pytest.mark.parametrize(
    ("by_hand", "by_rule", "message"),
    [
        ({}, [], "no sources"),
        ({"validation": ["stdlib"]}, [], "nothing to train on"),
        ({"train": ["stdlib"], "test": ["stdlib"]}, [], "stdlib: named twice"),
        ({"train": ["path:a/x"]}, ["path:b/x"], "path:x: named twice"),
        ({"train": ["numpy"]}, [], "unknown source 'numpy'"),
    ],
)
def test_bad_plans(by_hand: dict[str, list[str]], by_rule: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan_splits(by_hand, by_rule, {})


def test_a_data_set_to_evaluate_on_needs_no_training_source() -> None:
    plan = plan_splits({"validation": ["stdlib"]}, [], {}, needs_training=False)
    assert {source.split for source in plan} == {"validation", "test"}
