"""The chain graphs of real packages: complete, in order, and true to the triples of the files."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_knowledge import Extent
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings, chain_graphs, source_windows
from graph_builder.extract import extract
from graph_builder.layout import ChainLayout
from graph_builder.link_input import window_id
from graph_builder.linking import CUT, LinkCounts
from graph_builder.modules import module_name
from graph_builder.record import ChainGraph
from graph_builder.repository import Repository
from graph_builder.source_text import Rejected, SourceText, decode_source
from graph_builder.tokenizer import decode_bytes, encode, save_tokenizer

Files = dict[str, SourceText]


def repository_of(files: Files) -> Repository:
    return Repository([extract(p, module_name(p, files.keys()), s) for p, s in files.items()])


@pytest.fixture(scope="module")
def repository(click_files: Files) -> Repository:
    return repository_of(click_files)


@pytest.fixture(scope="module")
def counts() -> LinkCounts:
    return LinkCounts()


@pytest.fixture(scope="module")
def records(
    click_files: Files, repository: Repository, tokenizer: Tokenizer, counts: LinkCounts
) -> list[ChainGraph]:
    made = chain_graphs("path:x", "r1", click_files, repository, tokenizer, ChainSettings(), counts)
    return list(made)


def triples_of(record: ChainGraph) -> Iterator[tuple[int, tuple[str, int, str], np.ndarray]]:
    """Yield each triple's index, key and leaves."""
    keys = zip(
        record.triple_heads, record.triple_relations.tolist(), record.triple_tails, strict=True
    )
    for index, key in enumerate(keys):
        yield index, key, np.flatnonzero(record.leaf_triples == index)


def text_of(record: ChainGraph, source: SourceText, first: int, number: int) -> str:
    """Return what the roots `first` .. spell, cut to the code that they are in."""
    start, end = record.root_starts[first], record.root_ends[first + number - 1]
    return source.data[start:end].decode()


def test_the_windows_of_a_file_cover_it(records: list[ChainGraph], click_files: Files) -> None:
    pieces: dict[str, list[bytes]] = defaultdict(list)
    indexes: dict[str, list[int]] = defaultdict(list)
    for record in records:
        data = click_files[record.path].data
        spans = list(zip(record.root_starts.tolist(), record.root_ends.tolist(), strict=True))
        pieces[record.path] += [data[start:end] for start, end in spans if start >= 0]
        indexes[record.path].append(record.window_index)
    assert {path: b"".join(parts) for path, parts in pieces.items()} == {
        path: source.utf8 for path, source in click_files.items() if source.utf8
    }
    assert all(found == list(range(len(found))) for found in indexes.values())


def test_records_keep_the_promises_of_their_docstrings(
    records: list[ChainGraph], tokenizer: Tokenizer
) -> None:
    for record in records:
        num_roots = len(record.root_ids)
        assert 3 <= num_roots <= 128
        assert (record.root_ids[0], record.root_ids[-1]) == (0, 2)
        assert not set(record.root_ids[1:-1]) & {0, 1, 2, 3, 4}
        opening = np.flatnonzero(record.root_starts[1:-1] == -1) + 1
        assert opening.tolist() == list(range(1, len(opening) + 1))
        if len(opening):
            name = decode_bytes(tokenizer, record.root_ids[opening]).decode()
            assert f" {record.qualified_name.rpartition('.')[2]}".startswith(name)
        assert bool(len(opening)) or record.kind == "function"
        assert (np.diff(record.leaf_roots) >= 0).all()
        assert (np.bincount(record.leaf_roots, minlength=1) <= 7).all()
        assert (np.diff(record.leaf_triples) >= 0).all()
        assert np.unique(record.leaf_triples).tolist() == list(range(len(record.triple_heads)))
        for index, _, leaves in triples_of(record):
            assert len(set(record.leaf_roots[leaves])) == 1
            first, number = record.triple_head_starts[index], record.triple_head_lengths[index]
            assert first <= record.leaf_roots[leaves[0]] < first + number <= num_roots - 1
        keys = [key for _, key, _ in triples_of(record)]
        assert len(set(keys)) == len(keys)
        for field, dtype in [("root_ids", "int32"), ("leaf_roots", "int16")]:
            assert getattr(record, field).dtype == dtype


def test_leaves_spell_the_other_end_and_hang_on_a_mention(
    records: list[ChainGraph], click_files: Files, tokenizer: Tokenizer
) -> None:
    for record in records:
        for index, (head, _, tail), leaves in triples_of(record):
            hung, spelled = (tail, head) if record.triple_is_reversed[index] else (head, tail)
            leaf = decode_bytes(tokenizer, record.leaf_ids[leaves]).decode("utf-8", "replace")
            if f" {spelled}" != leaf:  # cut: its last parts, or the start of its last part
                assert any(
                    f" {part}".startswith(leaf.rstrip("�"))
                    for part in (spelled.split(".", n)[-1] for n in range(spelled.count(".") + 1))
                )
            first = int(record.triple_head_starts[index])
            number = int(record.triple_head_lengths[index])
            if record.root_starts[first] >= 0 and not record.triple_is_knowledge[index]:
                mention = text_of(record, click_files[record.path], first, number)
                last_part = hung.rpartition(".")[2]
                # A class may be written `cls`, a relative module from its own package.
                assert (
                    last_part in mention
                    or "cls" in mention
                    or "type(" in mention
                    or (mention.strip().strip(".") in hung)
                )


def test_every_triple_is_placed_in_the_window_of_its_site_or_counted(
    records: list[ChainGraph], repository: Repository, counts: LinkCounts
) -> None:
    by_path: dict[str, list[ChainGraph]] = defaultdict(list)
    for record in records:
        by_path[record.path].append(record)
    num_distinct: Counter[int] = Counter()
    for path, windows in by_path.items():
        stated: dict[int, set[tuple[str, int, str]]] = defaultdict(set)
        starts = np.array([w.root_starts[w.root_starts >= 0].min() for w in windows])
        ends = np.array([w.root_ends.max() for w in windows])
        for triple in repository.triples(path):
            [inside] = np.flatnonzero((starts <= triple.site) & (triple.site < ends))
            stated[inside].add((triple.head, triple.relation, triple.tail))
        for i, window in enumerate(windows):
            placed = {k for j, k, _ in triples_of(window) if not window.triple_is_knowledge[j]}
            assert placed <= stated[i]
            num_distinct.update(relation for _, relation, _ in stated[i])
    counted: Counter[int] = Counter()
    for (_, relation), number in counts.triples.items():
        counted[relation] += number
    assert counted == num_distinct
    # A vocabulary as small as this one cuts many names to more pieces than a root has slots:
    # those have leaves, but are not whole. The rest found no place.
    num_cut = sum(counts.unplaced()[CUT].values())
    num_placed = sum(counts.placed().values())
    assert num_placed >= 0.95 * sum(num_distinct.values())
    assert num_placed + num_cut >= 0.975 * sum(num_distinct.values())


def test_knowledge_has_its_evidence_outside_the_window(
    records: list[ChainGraph], repository: Repository
) -> None:
    """Each is a fact of an entity named here, or of the window's function, stated elsewhere.

    And what its leaves spell is written elsewhere.
    """
    num_seen, num_owned = 0, 0
    for record in records[::7]:
        extent = Extent.of(record)
        named = {r.entity for r in repository.references(record.path) if extent.has(r.start)}
        named.add(record.qualified_name)
        facts = {
            (fact.head, fact.relation, fact.tail)
            for entity in named
            for fact in repository.facts(entity)
            if not extent.holds(fact)
        }
        definitions = repository.file(record.path).definitions
        owned = {
            (triple.head, triple.relation, triple.tail)
            for definition in definitions
            if (definition.kind, definition.qualified_name) == ("function", record.qualified_name)
            for triple in repository.triples(record.path)
            if definition.start <= triple.site < definition.end
            if not extent.has(triple.site)
            if not extent.overlaps(triple.tail_start, triple.tail_end)
        }
        found = {key for i, key, _ in triples_of(record) if record.triple_is_knowledge[i]}
        assert found <= facts | owned
        assert record.triple_is_knowledge[record.leaf_triples].sum() <= 96
        num_seen += len(found & facts)
        num_owned += len(found - facts)
    assert min(num_seen, num_owned) > 50


def test_settings_choose_the_leaves(
    click_files: Files, repository: Repository, tokenizer: Tokenizer
) -> None:
    files = {path: click_files[path] for path in ["click/decorators.py", "click/types.py"]}

    def triples(leaves: str) -> list[set[tuple[tuple[str, int, str], bool, int]]]:
        made = chain_graphs(
            "path:x", "r1", files, repository, tokenizer, ChainSettings(leaves=leaves)
        )
        return [
            {
                (k, bool(r.triple_is_knowledge[i]), int(r.triple_head_starts[i]))
                for i, k, _ in triples_of(r)
            }
            for r in made
        ]

    local, knowledge, both = triples("local"), triples("knowledge"), triples("both")
    assert not any(is_knowledge for window in local for _, is_knowledge, _ in window)
    assert all(is_knowledge for window in knowledge for _, is_knowledge, _ in window)
    # Knowledge is placed first: what the window states does not move it.
    assert [{t for t in window if t[1]} for window in both] == knowledge
    for window, alone in zip(both, local, strict=True):
        assert {key for key, is_knowledge, _ in window if not is_knowledge} <= {t[0] for t in alone}


def test_no_order_on_shared_roots_tells_relations_apart(records: list[ChainGraph]) -> None:
    """What predicts relations best from the place among a root's triples finds what chance does:
    within six standard deviations of it, so that a change of the data is no alarm.

    How many triples share a root does say something of their relations (a function's name holds
    calls, a variable one flow), and so does a slot's index; which of them comes first must not.
    """
    rows = [
        (window, int(record.leaf_roots[leaves[0]]), relation)
        for window, record in enumerate(records)
        for _, (_, relation, _), leaves in triples_of(record)
    ]
    roots = np.unique([row[:2] for row in rows], axis=0, return_inverse=True)[1].ravel()
    relations = np.array([row[2] for row in rows])
    place = np.arange(len(roots)) - np.searchsorted(roots, roots)
    is_shared = np.bincount(roots)[roots] > 1
    size = np.bincount(roots)[roots][is_shared]

    def accuracy(found: np.ndarray) -> float:
        table = np.zeros((size.max() + 1, size.max() + 1, 12))
        np.add.at(table, (size, place[is_shared], found[is_shared]), 1)
        return table.max(axis=-1).sum() / is_shared.sum()

    generator = np.random.default_rng(0)
    by_chance = [
        accuracy(relations[np.lexsort((generator.random(len(roots)), roots))]) for _ in range(200)
    ]
    assert is_shared.sum() > 3000
    assert accuracy(relations) < np.mean(by_chance) + 6 * np.std(by_chance)
    by_relation = relations[np.lexsort((relations, roots))]
    assert accuracy(by_relation) > np.mean(by_chance) + 100 * np.std(by_chance)


DIGEST = """
import hashlib, sys
from pathlib import Path
from graph_builder.chains import source_windows
from graph_builder.tokenizer import load_tokenizer
records = source_windows(Path(sys.argv[1]).read_bytes(), load_tokenizer(Path(sys.argv[2])), "x.py")
print(len(records), hashlib.sha256(repr([vars(r) for r in records]).encode()).hexdigest())
"""


def test_another_process_makes_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    code = Path(networkx.__file__).parent / "classes" / "graph.py"
    printed = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(code), str(tmp_path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(printed) == 1
    assert int(printed.pop().split()[0]) > 20


def test_window_ids_are_distinct_and_stay_what_they_are(records: list[ChainGraph]) -> None:
    assert len({record.window_id for record in records}) == len(records)
    first = records[0]
    assert first.window_id == window_id("path:x", first.path, 0)
    assert window_id("installed:click", "click/core.py", 3) == -5244026991530907404


ODD_FILES = {
    "carriage returns": b"import os\r\n\r\n\r\ndef f(x):\r\n\treturn os.path.join(x)\r\n",
    "byte order mark": b"\xef\xbb\xbfclass A:\n    def f(self): self.x = g()\n",
    "not ascii": "class Änderung:\n    größe: int = '€🐍'\n    def ü(self): pass\n".encode(),
    "latin-1": b"# coding: latin-1\ndef gr\xf6sse(x: int): return '\xe9' + x\n",
    "no definitions": b"x = y = 1\n",
    "broken": b"def f(:\n    return g(1\nclass A\n  x = 2\n",
    "specials": b'def f():\n    mask = "<mask></s>"\n    return g(mask)  # <s>\n',
    "one giant line": b"def f(): return [" + b"call(a, b), " * 900 + b"]\n",
    "white space": b"\n\n \n",
}


@pytest.mark.parametrize("data", ODD_FILES.values(), ids=ODD_FILES.keys())
def test_odd_files_are_covered(tokenizer: Tokenizer, data: bytes) -> None:
    records = source_windows(data, tokenizer)
    spans = [
        (start, end)
        for record in records
        for start, end in zip(record.root_starts, record.root_ends, strict=True)
        if start >= 0
    ]
    opening = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    assert [start for start, _ in spans] == [opening, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(data)
    ids = [i for r in records for i in r.root_ids[r.root_starts >= 0]]
    assert ids == encode(tokenizer, decode_source(data)).ids.tolist()
    assert not {0, 1, 2, 3, 4} & set(ids)
    assert all(r.start_line <= r.end_line <= data.count(b"\n") + 1 for r in records)


SPACES = st.sampled_from(["\n", "\r\n", "\n    ", "\n\t\t", " "])
FRAGMENTS = st.sampled_from(
    [
        *("def f(a, *b: int) -> X:", "async def h():", "class A(B):", "@deco", "pass", "yield"),
        *("self.x: T = 1", "x = y", "return f(x)", "import a.b as c", "from . import d", "# text"),
        *(
            "for i in z:",
            "with a as b:",
            "if (n := g()):",
            "match v:",
            "case [p, *q]:",
            "lambda: x",
        ),
        *("(", ")", "[", "\\", "\t", "\f", "\r", 'é = "<mask>"', '"""', "'", "global x"),
    ]
)


@settings(max_examples=80)
@given(st.lists(st.tuples(SPACES, FRAGMENTS)))
def test_any_sequence_of_fragments_is_covered(
    tokenizer: Tokenizer, pieces: list[tuple[str, str]]
) -> None:
    data = "".join(space + fragment for space, fragment in pieces).encode()
    records = source_windows(data, tokenizer)
    spans = [
        data[start:end]
        for record in records
        for start, end in zip(record.root_starts, record.root_ends, strict=True)
        if start >= 0
    ]
    assert b"".join(spans) == data
    assert [record.window_index for record in records] == list(range(len(records)))


def test_an_empty_file_has_no_windows(tokenizer: Tokenizer) -> None:
    assert source_windows(b"", tokenizer) == []


def test_lines_are_those_of_the_code(tokenizer: Tokenizer) -> None:
    code = b"import os\n\n\n\n@cached\ndef f():\n    pass\n\n\nx = 1\n"
    found = [(r.kind, r.start_line, r.end_line) for r in source_windows(code, tokenizer)]
    assert found == [("module", 1, 1), ("function", 5, 7), ("module", 10, 10)]


def test_source_that_is_none_is_rejected(tokenizer: Tokenizer) -> None:
    with pytest.raises(Rejected, match="binary"):
        source_windows(b"x = 1\0", tokenizer)
    with pytest.raises(Rejected, match="nested too deeply"):
        source_windows(b"x = a" + b".b()" * 20_000, tokenizer)


def test_other_layouts(tokenizer: Tokenizer, click_files: Files) -> None:
    files = {"click/globals.py": click_files["click/globals.py"]}
    small = ChainSettings(max_knowledge_leaves=3, layout=ChainLayout(20, 2))
    made = list(chain_graphs("x", "", files, repository_of(files), tokenizer, small))
    assert max(len(r.root_ids) for r in made) == 20
    assert max(np.bincount(r.leaf_roots).max() for r in made if len(r.leaf_roots)) == 2
    assert all(r.triple_is_knowledge[r.leaf_triples].sum() <= 3 for r in made)
