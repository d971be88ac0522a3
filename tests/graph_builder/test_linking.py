"""Triples hang where their heads are mentioned, spill, turn round, and are counted if they fail."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_knowledge import ChosenFact, in_hash_order
from slow_linking import LinkedTriple, WindowLinker
from slow_mentions import FileText, WindowMentions
from slow_names import file_words
from slow_spelling import Spellings
from tokenizers import Tokenizer

from graph_builder.entities import NO_SPAN, Fact, Reference, Triple
from graph_builder.layout import ChainLayout
from graph_builder.linking import (
    CUT,
    NO_MENTION,
    NO_ROOM,
    PLACED,
    SHORTENED,
    LinkCounts,
)
from graph_builder.relations import (
    CALLS,
    CONTAINS,
    DECLARES,
    FLOWS_TO,
    HAS_PARAMETER,
    NUM_RELATIONS,
    RETURNS,
)
from graph_builder.source_text import decode_source
from graph_builder.tokenizer import decode_bytes, encode
from graph_builder.windows import MODULE, Window


@dataclass
class Bench:
    """A whole text as one window, with what links triples to it."""

    tokenizer: Tokenizer
    code: str
    synthetic: str = ""
    layout: ChainLayout = ChainLayout()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        source = decode_source(self.code.encode())
        self.encoded = encode(self.tokenizer, source)
        spellings = Spellings(self.tokenizer)
        name_length = len(spellings.of(self.synthetic).ids) if self.synthetic else 0
        self.window = Window(MODULE, 0, len(self.encoded.ids), name_length)
        text = FileText(source.data, self.encoded, file_words(source, self.encoded))
        self.mentions = WindowMentions(text, self.window, self.synthetic)
        self.counts = LinkCounts()
        self.linker = WindowLinker(self.layout, self.mentions, spellings, self.counts)

    def text_of(self, root: int) -> str:
        token = root - 1 - self.window.num_name_tokens
        if token < 0:
            return "<synthetic>"
        return self.code.encode()[self.encoded.starts[token] : self.encoded.ends[token]].decode()

    def triple(self, head: str, relation: int, tail: str, occurrence: int = 0) -> Triple:
        """Return a triple with the spans of the first mentions in the text, if there are any."""

        def span(name: str, skip: int) -> tuple[int, int]:
            found = [m.span() for m in re.finditer(rf"\b{re.escape(name)}\b", self.code)]
            return found[skip] if len(found) > skip else (NO_SPAN, NO_SPAN)

        return Triple(head, relation, tail, *span(head, occurrence), *span(tail, 0), 0)

    def link(self, *triples: Triple) -> list[LinkedTriple]:
        self.linker.add_local(triples)
        return self.linker.linked(0)


def test_a_triple_hangs_on_the_exact_mention_of_its_head(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "x = 1; y = x; z = x")
    [linked] = bench.link(bench.triple("x", FLOWS_TO, "z", occurrence=2))
    assert linked.root == len(bench.encoded.ids)  # roots count from 1: the last token
    assert (linked.mention.first_root, linked.mention.num_roots) == (linked.root, 1)
    assert decode_bytes(tokenizer, linked.spelling.ids) == b" z"
    assert not linked.is_reversed


def test_a_full_root_spills_to_the_heads_other_roots_then_to_other_mentions(
    tokenizer: Tokenizer,
) -> None:
    code = "def qzvx(a, b, c, d, e, f, g):\n    return qzvx"
    bench = Bench(tokenizer, code, layout=ChainLayout(128, 1))
    mention, second = bench.mentions.of_name("qzvx")
    assert mention.num_roots > 1  # else the first step is not seen
    # One slot a root: each triple needs a root of its own.
    linked = bench.link(*(bench.triple("qzvx", HAS_PARAMETER, name) for name in "abcdefg"))
    on_head = [t for t in linked if not t.is_reversed]
    assert [t.root for t in on_head] == [*mention.roots, *second.roots][:7]
    assert [t.mention for t in on_head][: mention.num_roots] == [mention] * mention.num_roots
    assert len(linked) == 7


def test_without_room_at_its_head_a_triple_hangs_reversed_on_its_tail(
    tokenizer: Tokenizer,
) -> None:
    bench = Bench(tokenizer, "def f():\n    a()\n    b()", layout=ChainLayout(128, 1))
    linked = bench.link(*(bench.triple("f", CALLS, name) for name in "ab"))
    assert sorted((bench.text_of(t.root).strip(), t.is_reversed) for t in linked) in (
        [("a", True), ("f", False)],
        [("b", True), ("f", False)],
    )
    [turned] = [t for t in linked if t.is_reversed]
    assert decode_bytes(tokenizer, turned.spelling.ids) == b" f"
    assert bench.counts.placed()["calls"] == 2


def test_a_member_whose_owner_is_elsewhere_holds_the_owners_name(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "def method(self): pass")
    [linked] = bench.link(bench.triple("Owner", CONTAINS, "method"))
    assert bench.text_of(linked.root).strip() == "method"
    assert (linked.head, linked.tail, linked.is_reversed) == ("Owner", "method", True)
    assert decode_bytes(tokenizer, linked.spelling.ids) == b" Owner"


def test_the_synthetic_name_is_a_mention_of_the_module(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "LIMIT = 9", synthetic="settings")
    [linked] = bench.link(bench.triple("package.settings", DECLARES, "LIMIT"))
    assert (linked.root, linked.is_reversed) == (1, False)
    assert linked.mention.num_roots == bench.window.num_name_tokens


def test_equal_triples_are_one(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "def f(): g(); g()")
    assert len(bench.link(*[bench.triple("f", CALLS, "g")] * 3)) == 1
    assert bench.counts.triples == {(PLACED, CALLS): 1}


def test_a_long_name_keeps_its_last_parts(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "def f(): pass")
    module = "some.very.long.package.name.of.many.parts"
    [linked] = bench.link(bench.triple(module, CONTAINS, "f"))
    spelled = decode_bytes(tokenizer, linked.spelling.ids).decode().strip()
    assert module.endswith(f".{spelled}")
    assert len(linked.spelling.ids) <= 7
    assert bench.counts.triples == {(SHORTENED, CONTAINS): 1}
    assert bench.counts.placed()["contains"] == bench.counts.shortened()["contains"] == 1


def test_a_tail_that_keeps_its_last_parts_alone_is_cut(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "def f(): pass")
    tail = "some.very.long.package.name.of.many.parts"
    [linked] = bench.link(bench.triple("f", CALLS, tail))
    spelled = decode_bytes(tokenizer, linked.spelling.ids).decode().strip()
    assert tail.endswith(f".{spelled}")
    assert bench.counts.triples == {(CUT, CALLS): 1}
    assert bench.counts.unplaced()[CUT]["calls"] == 1


LONG = "quite_a_long_name_that_takes_more_tokens_than_seven"


def test_a_name_that_no_root_can_hold_is_not_spelled_where_the_other_end_can_be(
    tokenizer: Tokenizer,
) -> None:
    bench = Bench(tokenizer, f"def f(): {LONG}()")
    [linked] = bench.link(bench.triple("f", CALLS, LONG))
    assert linked.is_reversed
    assert linked.root in bench.mentions.of_name(LONG)[0].roots
    assert decode_bytes(tokenizer, linked.spelling.ids) == b" f"
    assert bench.counts.triples == {(PLACED, CALLS): 1}


def test_a_name_is_cut_only_where_neither_end_can_be_spelled(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, f"def {LONG}(): {LONG}_too(); x = 1")
    outcomes = {
        (LONG, f"{LONG}_too"): CUT,
        ("f", LONG): PLACED,  # at its tail: the head is elsewhere, and short
        (LONG, "x"): PLACED,
        ("elsewhere", f"{LONG}_two"): NO_MENTION,
        (LONG, "elsewhere"): PLACED,
        ("elsewhere", LONG): PLACED,
        (f"{LONG}_elsewhere", LONG): CUT,  # the head is spelled, which is the one that is long
        (f"a.b.{LONG}", LONG): CUT,  # not even its last part fits
        (f"{LONG}.a.b.c", LONG): SHORTENED,
    }
    for (head, tail), outcome in outcomes.items():
        bench = Bench(tokenizer, bench.code)
        bench.link(bench.triple(head, CALLS, tail))
        assert bench.counts.triples == {(outcome, CALLS): 1}, (head, tail)


def test_what_finds_no_place_is_counted(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "a = b", layout=ChainLayout(128, 1))
    lost = bench.triple("x", FLOWS_TO, "y")
    bench.link(lost, *(bench.triple("b", FLOWS_TO, "a")._replace(relation=r) for r in (0, 1, 2)))
    assert bench.counts.triples[NO_MENTION, FLOWS_TO] == 1
    outcomes = [outcome for outcome, _ in bench.counts.triples]
    assert outcomes.count(PLACED) == 2  # one on each side
    assert outcomes.count(NO_ROOM) == 1


def fact(head: str, relation: int, tail: str, is_reversed: bool = False) -> Fact:
    entity = "module." + (tail if is_reversed else head)
    return Fact(head, relation, tail, "other.py", 0, NO_SPAN, NO_SPAN, entity, is_reversed)


def test_knowledge_hangs_on_the_last_word_of_the_reference(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "x = tools.helper(1)")
    reference = Reference(4, 16, "module.helper")
    facts = [fact("helper", RETURNS, "int"), fact("Toolbox", CONTAINS, "helper", True)]
    bench.linker.add_knowledge([ChosenFact(f, (reference,)) for f in facts])
    linked = bench.linker.linked(0)
    mention = {"".join(bench.text_of(root) for root in t.mention.roots) for t in linked}
    assert mention == {"helper"}
    assert all(t.is_knowledge for t in linked)
    spelled = {decode_bytes(tokenizer, t.spelling.ids).decode(): t.is_reversed for t in linked}
    assert spelled == {" int": False, " Toolbox": True}


def test_a_fact_that_the_window_states_too_is_knowledge(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, "def helper() -> int: return helper()")
    same = ChosenFact(fact("helper", RETURNS, "int"), (Reference(28, 34, "module.helper"),))
    bench.linker.add_knowledge([same])
    bench.linker.add_local([bench.triple("helper", RETURNS, "int")])
    [linked] = bench.linker.linked(0)
    assert linked.is_knowledge
    assert bench.counts.facts == bench.counts.triples == {(PLACED, RETURNS): 1}


PARTS = st.sampled_from(["a", "b", "ab", "a_b", "é", "x1"])
NAMES = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
TEXTS = st.lists(
    st.sampled_from(["a", "b", "ab", "a_b", "é", "x1", ".", " ", ". ", "("]), max_size=30
)


def slow_mentions(bench: Bench, name: str) -> list[tuple[int, int]]:
    """Search the text for the name, then for its last part, and collect the tokens in the way."""
    found = []
    for form in dict.fromkeys([name, name.rpartition(".")[2]]):
        for at in range(len(bench.code)):
            end = at + len(form)
            around = bench.code[at - 1 : at] + bench.code[end : end + 1]
            if bench.code[at:end] != form or any(f"a{c}".isidentifier() for c in around):
                continue
            first, last = (len(bench.code[:i].encode()) for i in (at, end))
            tokens = [
                i
                for i, (start, stop) in enumerate(
                    zip(bench.encoded.starts, bench.encoded.ends, strict=True)
                )
                if start < last and stop > first
            ]
            found.append((tokens[0] + 1, len(tokens)))
    return found


@settings(max_examples=200)
@given(texts=TEXTS, name=NAMES)
def test_mentions_equal_a_search_of_the_text(
    tokenizer: Tokenizer, texts: list[str], name: str
) -> None:
    bench = Bench(tokenizer, "".join(texts))
    found = [(m.first_root, m.num_roots) for m in bench.mentions.of_name(name)]
    assert found == slow_mentions(bench, name)


KEYS = st.sets(
    st.tuples(st.sampled_from("fgh"), st.integers(0, NUM_RELATIONS - 1), st.sampled_from("xyz"))
)


@settings(max_examples=100)
@given(keys=KEYS, salt=st.integers(0, 9), shift=st.integers(1, NUM_RELATIONS - 1))
def test_order_does_not_look_at_relations(
    keys: set[tuple[str, int, str]], salt: int, shift: int
) -> None:
    """Other relations on the same names leave the names in the same order."""
    ordered = in_hash_order(keys, lambda key: key, salt)
    assert ordered == in_hash_order(sorted(keys, reverse=True), lambda key: key, salt)
    renamed = {(head, (relation + shift) % NUM_RELATIONS, tail) for head, relation, tail in keys}
    pairs = [(head, tail) for head, _, tail in in_hash_order(renamed, lambda key: key, salt)]
    assert pairs == [(head, tail) for head, _, tail in ordered]


@pytest.mark.parametrize("relations", [(CALLS, RETURNS), (CALLS, RETURNS, FLOWS_TO)])
def test_each_relation_of_a_pair_comes_first_as_often(relations: tuple[int, ...]) -> None:
    firsts = [
        in_hash_order([(f"f{i}", r, "x") for r in relations], lambda key: key)[0][1]
        for i in range(3000)
    ]
    expected = 3000 / len(relations)
    for relation in relations:
        # Five standard deviations of a fair draw.
        assert (
            abs(firsts.count(relation) - expected)
            < 5 * (expected * (1 - 1 / len(relations))) ** 0.5
        )
