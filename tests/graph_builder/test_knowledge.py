"""Which facts a window gets depends on names and places, never on what else the window says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_knowledge import Budget, Extent, FactShelf
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings, chain_graphs
from graph_builder.entities import Fact, Reference
from graph_builder.extract import extract
from graph_builder.linking import STATED_HERE, LinkCounts
from graph_builder.modules import module_name
from graph_builder.record import ChainGraph
from graph_builder.relations import HAS_FIELD, HAS_PARAMETER, RETURNS
from graph_builder.repository import Repository
from graph_builder.source_text import decode_source

HERE = Extent("here.py", 100, 200)
BUDGET = Budget(max_leaves=6, leaves_of=len, room_at=lambda reference: 7)


def reference(entity: str, start: int = 110) -> Reference:
    return Reference(start, start + 1, entity)


def fact(head: str, tail: str, path: str = "there.py", site: int = 150) -> Fact:
    return Fact(head, HAS_FIELD, tail, path, site, f"m.{head}", False)


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


@settings(max_examples=100, deadline=None)
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


def knowledge_of(
    tokenizer: Tokenizer, window: str, counts: LinkCounts | None = None
) -> tuple[set[tuple[str, int, str]], ChainGraph]:
    """Return the knowledge triples of the function `window` beside TOOLS, and its record."""
    code = {
        "tools.py": TOOLS,
        "user.py": f"from tools import Tool, helper\n\n\n{window}",
    }
    files = {path: decode_source(text.encode()) for path, text in code.items()}
    facts = [extract(p, module_name(p, files.keys()), text) for p, text in files.items()]
    settings = ChainSettings(leaves="both" if counts else "knowledge", max_knowledge_leaves=32)
    repository, counts = Repository(facts), counts or LinkCounts()
    records = chain_graphs("path:x", "", files, repository, tokenizer, settings, counts)
    [record] = [r for r in records if r.qualified_name == "user.work"]
    keys = zip(
        record.triple_heads, record.triple_relations.tolist(), record.triple_tails, strict=True
    )
    return {k for k, is_on in zip(keys, record.triple_is_knowledge, strict=True) if is_on}, record


OTHER_TEXT = [
    "def work():\n    return helper(Tool)\n",
    "def work():\n    size = 'colour speed hand'\n    return helper(Tool)\n",
    "def work(alpha, beta, hand):\n    # use drop gamma\n    return helper(Tool)\n",
    "def work(size) -> bool:\n    for gamma in range(9): print(gamma)\n    return helper(Tool)\n",
]


def test_other_text_of_the_window_changes_nothing(tokenizer: Tokenizer) -> None:
    """The same names in other surroundings, some of them the answers, get the same facts."""
    found = [knowledge_of(tokenizer, window)[0] for window in OTHER_TEXT]
    assert all(keys == found[0] for keys in found)
    assert ("helper", RETURNS, "Tool") in found[0]
    assert {"alpha", "beta"} & {tail for head, r, tail in found[0] if r == HAS_PARAMETER}


@pytest.mark.parametrize("own", ["", " -> Tool"])
def test_a_fact_stated_here_too_gives_its_place_to_no_other(tokenizer: Tokenizer, own: str) -> None:
    """A local `helper` inside the window says (helper, returns, Tool) itself, or does not."""
    window = f"""def work(x):
    def inner(): return helper, Tool
    class C:
        def helper(self){own}: pass
"""
    counts = LinkCounts()
    keys, record = knowledge_of(tokenizer, window, counts)
    without, _ = knowledge_of(tokenizer, window.replace(" -> Tool", ""), LinkCounts())
    same = ("helper", RETURNS, "Tool")
    assert same in without
    assert keys == (without - {same} if own else without)
    assert counts.facts[STATED_HERE, RETURNS] == bool(own)
    stated = [
        bool(record.triple_is_knowledge[i])
        for i, head in enumerate(record.triple_heads)
        if (head, record.triple_relations[i], record.triple_tails[i]) == same
    ]
    assert stated == [not own]  # once, and as local wherever the window says it
