"""Which facts a window gets depends on names and places, never on what else the window says."""

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_knowledge import Budget, Extent, FactShelf, Key
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings, chain_graphs
from graph_builder.entities import NO_SPAN, Fact, Reference
from graph_builder.parsed_files import parse_files
from graph_builder.record import ChainGraph
from graph_builder.relations import (
    DECLARES,
    FLOWS_TO,
    HAS_FIELD,
    HAS_PARAMETER,
    INHERITS,
    RETURNS,
)
from graph_builder.repository import Repository
from graph_builder.source_text import decode_source

Leaves = Literal["both", "knowledge"]
HERE = Extent("here.py", 100, 200)
BUDGET = Budget(max_leaves=6, leaves_of=len, room_at=lambda reference: 7)


def reference(entity: str, start: int = 110) -> Reference:
    return Reference(start, start + 1, entity)


def fact(
    head: str, tail: str, path: str = "there.py", site: int = 150, start: int = NO_SPAN
) -> Fact:
    end = start + len(tail) if start >= 0 else NO_SPAN
    return Fact(head, HAS_FIELD, tail, path, site, start, end, f"m.{head}", False)


def shelf(*facts: Fact) -> FactShelf:
    return FactShelf(lambda entity: [fact for fact in facts if fact.entity == entity])


def test_evidence_inside_the_window_is_no_knowledge() -> None:
    facts = shelf(
        fact("f", "a"),
        fact("f", "b", path="here.py", site=100),
        fact("f", "c", path="here.py", site=199),
        fact("f", "d", path="here.py", site=200),
        fact("f", "e", path="here.py", site=99),
    )
    chosen = facts.choose([reference("m.f")], HERE, BUDGET)
    assert {choice.leaf_name for choice in chosen} == {"a", "d", "e"}


def test_what_is_written_inside_the_window_is_no_knowledge_of_a_statement_outside() -> None:
    facts = shelf(
        fact("f", "a", path="here.py", site=90, start=99),
        fact("f", "b", path="here.py", site=90, start=100),
        fact("f", "cd", path="here.py", site=90, start=99),
        fact("f", "e", path="here.py", site=90, start=199),
        fact("f", "g", path="here.py", site=90, start=200),
        fact("f", "h", path="there.py", site=90, start=100),
    )
    chosen = facts.choose([reference("m.f")], HERE, BUDGET)
    assert {choice.leaf_name for choice in chosen} == {"a", "g", "h"}


def test_each_entity_gives_one_before_any_gives_two() -> None:
    facts = shelf(*(fact(head, tail) for head in "fgh" for tail in "abcde"))
    references = [reference(f"m.{head}") for head in "fgh"]
    chosen = facts.choose(references, HERE, BUDGET)
    assert sorted(choice.fact.head for choice in chosen) == list("ffgghh")


def test_no_entity_takes_more_than_its_mentions_hold() -> None:
    facts = shelf(*(fact("f", tail) for tail in "abcde"), fact("g", "x"))
    budget = Budget(max_leaves=9, leaves_of=len, room_at=lambda reference: 2)
    chosen = facts.choose([reference("m.f"), reference("m.g")], HERE, budget)
    assert sorted(choice.fact.head for choice in chosen) == ["f", "f", "g"]
    twice = facts.choose([reference("m.f"), reference("m.f", 120)], HERE, budget)
    assert len(twice) == 4


@settings(max_examples=100)
@given(st.permutations([reference(f"m.{head}", start) for head in "fgh" for start in (110, 130)]))
def test_the_place_of_a_name_in_the_window_does_not_matter(references: list[Reference]) -> None:
    facts = shelf(*(fact(head, tail) for head in "fgh" for tail in ["aa", "b", "ccc", "dd"]))
    keys = [choice.key for choice in facts.choose(references, HERE, BUDGET)]
    expected = facts.choose([reference(f"m.{head}") for head in "fgh"], HERE, BUDGET)
    assert keys == [choice.key for choice in expected]


TOOLS = """
class Tool:
    size: int
    colour = 0
    def use(self, hand, *, speed) -> bool: ...
    def drop(self) -> None: ...

def helper(alpha, beta, gamma) -> Tool:
    return Tool()
"""


def records_of(tokenizer: Tokenizer, leaves: Leaves, **code: str) -> list[ChainGraph]:
    files = {f"{name}.py": decode_source(text.encode()) for name, text in code.items()}
    repository = Repository(parse_files(files).facts)
    settings = ChainSettings(leaves=leaves, max_knowledge_leaves=32)
    return list(chain_graphs("path:x", "", files, repository, tokenizer, settings))


def knowledge_keys(record: ChainGraph) -> set[Key]:
    keys = zip(
        record.triple_heads, record.triple_relations.tolist(), record.triple_tails, strict=True
    )
    return {k for k, is_on in zip(keys, record.triple_is_knowledge, strict=True) if is_on}


def work_of(tokenizer: Tokenizer, window: str, leaves: Leaves = "knowledge") -> ChainGraph:
    """Return the record of the function `window` beside TOOLS."""
    user = f"from tools import Tool, helper\n\n\n{window}"
    records = records_of(tokenizer, leaves, tools=TOOLS, user=user)
    [record] = [r for r in records if r.qualified_name == "user.work"]
    return record


OTHER_TEXT = [
    "def work():\n    return helper(Tool)\n",
    "def work():\n    size = 'colour speed hand'\n    return helper(Tool)\n",
    "def work(alpha, beta, hand):\n    # use drop gamma\n    return helper(Tool)\n",
    "def work(size) -> bool:\n    for gamma in range(9): print(gamma)\n    return helper(Tool)\n",
]


def test_other_text_of_the_window_changes_nothing(tokenizer: Tokenizer) -> None:
    """The same names in other surroundings, some of them the answers, get the same facts."""
    found = [knowledge_keys(work_of(tokenizer, window)) for window in OTHER_TEXT]
    assert all(keys == found[0] for keys in found)
    assert ("helper", RETURNS, "Tool") in found[0]
    assert {"alpha", "beta"} & {tail for head, r, tail in found[0] if r == HAS_PARAMETER}


@pytest.mark.parametrize("leaves", ["both", "knowledge"])
def test_a_fact_stated_here_too_is_the_same_knowledge(tokenizer: Tokenizer, leaves: Leaves) -> None:
    """A local `helper` inside the window says (helper, returns, Tool) itself, or does not.

    Were it then another triple, or gone, its absence would tell what the window says.
    """
    window = """def work(x):
    def inner(): return helper, Tool
    class C:
        def helper(self) -> Tool: pass
"""
    record = work_of(tokenizer, window, leaves)
    without = work_of(tokenizer, window.replace(" -> Tool", ""), leaves)
    same = ("helper", RETURNS, "Tool")
    assert same in knowledge_keys(record) == knowledge_keys(without)
    heads, tails = record.triple_heads, record.triple_tails
    listed = list(zip(heads, record.triple_relations.tolist(), tails, strict=True))
    assert listed.count(same) == 1


COMMENTS = "".join(f"    # line {n} of many that say no more than this\n" for n in range(12))
LONG = """def work(first, second):
    third = first
{comments}    fourth = second
{comments}    return {name}, work
"""


def test_the_rest_of_a_function_speaks_of_the_names_of_a_window(tokenizer: Tokenizer) -> None:
    """A window that continues a function knows its parameters and where its names flow."""
    flow = ("second", FLOWS_TO, "fourth")
    for name in ["third", "second"]:
        long = LONG.format(comments=COMMENTS, name=name)
        last = records_of(tokenizer, "both", m=long)[-1]
        assert last.root_starts[1] == NO_SPAN  # it opens with a synthetic name
        keys = knowledge_keys(last)
        assert {("work", HAS_PARAMETER, "first"), ("work", DECLARES, "third")} <= keys
        assert (flow in keys) == (name == "second")


CUT = {
    "a parameter of a function within": """def work(alpha):
    def inner(secret):
        return secret
{comments}    return inner(alpha)
""",
    "a signature": """def work(
    alpha,
{comments}) -> secret:
    return alpha
""",
}


@pytest.mark.parametrize("code", CUT.values(), ids=list(CUT))
def test_no_leaf_of_knowledge_spells_what_is_written_in_its_window(
    tokenizer: Tokenizer, code: str
) -> None:
    """A statement begins in one window and goes on in another, where a leaf would tell its end."""
    code = code.format(comments=COMMENTS)
    records = records_of(tokenizer, "both", m=code)
    assert len(records) > 1
    for record in records:
        spelled = {name for _, _, name in knowledge_keys(record)}
        assert "secret" not in spelled or not Extent.of(record).has(code.find("secret"))


@pytest.mark.parametrize("window", [0, 2, -1])  # of a function: first, amidst, last
def test_the_nearest_triples_come_first(tokenizer: Tokenizer, window: int) -> None:
    names = [f"name{n}" for n in range(120)]
    long = "def work():\n" + "".join(f"    {name} = work\n" for name in names) + "    return work\n"
    record = records_of(tokenizer, "both", m=long)[window]
    extent = Extent.of(record)
    sites = {name: long.index(f"{name} =") for name in names}
    found = {tail for _, relation, tail in knowledge_keys(record) if relation == DECLARES}
    outside = [name for name in names if not extent.has(sites[name])]
    nearest = sorted(outside, key=lambda name: extent.distance(sites[name]))
    assert found == set(nearest[: len(found)])
    assert len(found) > 1


def test_what_a_window_opens_with_leads_to_its_class(tokenizer: Tokenizer) -> None:
    """Fields below a method know the class's base and the fields above."""
    code = "class Tool(Base):\n    size = 1\n    def use(self): ...\n    colour = 2\n"
    last = records_of(tokenizer, "both", m=code)[-1]
    assert {("Tool", INHERITS, "Base"), ("Tool", HAS_FIELD, "size")} <= knowledge_keys(last)


def test_a_field_of_a_class_and_of_its_base_is_said_once(tokenizer: Tokenizer) -> None:
    """`self` leads to both; two equal leaves would each tell the relation of the other."""
    code = """class Command:
    def __init__(self):
        self.name = 1


class Group(Command):
    def __init__(self):
        self.name = 2
    def use(self):
        return self.run()
"""
    [use] = [r for r in records_of(tokenizer, "both", m=code) if r.qualified_name == "m.Group.use"]
    assert len([key for key in knowledge_keys(use) if key[1:] == (HAS_FIELD, "name")]) == 1
