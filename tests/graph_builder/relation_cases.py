"""Snippets and what one relation must, and must not, say of them.

A case lists every triple of its relation ("head -> tail"); whatever else the extractor says of
that relation is wrong. `never` names the tempting mistakes, so that they are read and not only
implied. The module is `m`.
"""

from typing import NamedTuple

import pytest
from extracted_rows import repository_of

from graph_builder.relations import RELATION_NAMES


class Case(NamedTuple):
    clause: str  # of docs/relations.md
    code: str
    says: str = ""  # one "head -> tail" a line
    never: str = ""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def check(relation: str, case: Case) -> None:
    repository = repository_of({"m.py": case.code})
    found = [
        f"{triple.head} -> {triple.tail}"
        for triple in repository.triples("m.py")
        if RELATION_NAMES[triple.relation] == relation
    ]
    for line in lines(case.never):
        assert line not in found, case.clause
    assert sorted(found) == sorted(lines(case.says)), case.clause


def parametrized(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.clause for case in cases])
