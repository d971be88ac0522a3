"""What keeps the numbers honest, on real windows, by a slow reading of the text itself.

Nothing here uses the name ids that masking goes by: tails are decoded, their mentions are looked
for in the decoded window, and what the model is given is read from the packed rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pytest
import torch
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings, chain_graphs
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.record import ChainGraph
from graph_builder.repository import Repository
from graph_builder.shards import records_table
from graph_builder.source_text import decode_source
from graph_builder.tokenizer import decode_bytes
from graphmert.data.packing import PackedRows, pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks, mask_batch

RATES = MaskSettings()
NUM_WINDOWS = 500


@dataclass(frozen=True)
class Sample:
    """A batch of real windows with its masks, its records, and the rows the model reads."""

    records: list[ChainGraph]
    batch: RaggedBatch
    masked: MaskedBatch
    rows: PackedRows
    tokenizer: Tokenizer

    def window(self, index: int) -> "Window":
        is_root = self.batch.root_windows == index
        chosen = self.masked.mlm_labels[is_root] != NO_LABEL
        return Window(self, index, self.records[index], chosen.nonzero().flatten().tolist())


@dataclass(frozen=True)
class Window:
    sample: Sample
    index: int
    record: ChainGraph
    chosen: list[int]  # roots with a label

    def text(self, ids: list[int]) -> bytes:
        return decode_bytes(self.sample.tokenizer, ids)

    def triples(self) -> Iterator["Hung"]:
        for triple in range(len(self.record.triple_relations)):
            leaves = (self.record.leaf_triples == triple).nonzero()[0].tolist()
            start = int(self.record.triple_head_starts[triple])
            head = range(start, start + int(self.record.triple_head_lengths[triple]))
            spelled = self.text(self.record.leaf_ids[leaves].tolist()).decode(errors="replace")
            yield Hung(triple, leaves, head, spelled.removeprefix(" "))

    def mentions(self, name: str) -> Iterator[set[int]]:
        """Yield the roots of each place of the window where `name` stands as a whole word."""
        pieces = [
            self.text([int(token)]) if start >= 0 else b""
            for token, start in zip(self.record.root_ids, self.record.root_starts, strict=True)
        ]
        owners = [root for root, piece in enumerate(pieces) for _ in piece]
        text = b"".join(pieces).decode("latin-1")  # a character a byte
        wanted = name.encode().decode("latin-1")
        for match in re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", text):
            yield set(owners[match.start() : match.end()])


@dataclass(frozen=True)
class Hung:
    """One triple of a window: what its leaves spell, and the mention that it hangs on."""

    triple: int
    leaves: list[int]
    head: range
    spelled: str


@pytest.fixture(scope="module")
def records(tokenizer: Tokenizer) -> list[ChainGraph]:
    root = Path(click.__file__).parent
    paths = sorted(root.glob("*.py"))
    files = {f"click/{path.name}": decode_source(path.read_bytes()) for path in paths}
    facts = [extract(path, module_name(path, set(files)), source) for path, source in files.items()]
    settings = ChainSettings()
    made = chain_graphs("click", "", files, Repository(facts), tokenizer, settings)
    return list(made)[:NUM_WINDOWS]


@pytest.fixture(scope="module", params=["training", "many masks", "evaluation"])
def sample(
    request: pytest.FixtureRequest, records: list[ChainGraph], tokenizer: Tokenizer
) -> Sample:
    table = WindowTable.from_arrow(records_table(records))
    batch = table.batch(range(len(records)))
    vocab_size = tokenizer.get_vocab_size()
    if request.param == "evaluation":
        masked = evaluation_masks(batch, RATES, vocab_size)
    else:
        rates = RATES if request.param == "training" else MaskSettings(mlm_share=0.4, mnm_share=0.5)
        masked = mask_batch(batch, rates, 1, 2, vocab_size)
    return Sample(records, batch, masked, pack(batch, masked), tokenizer)


def leaves_in_row(sample: Sample, window: int) -> dict[tuple[int, int], int]:
    """Return the input id of each leaf that the model reads of a window, by (root, slot)."""
    inputs = sample.rows.inputs
    is_leaf = (inputs.token_type_ids[window] >= 1) & (inputs.window_index[window] >= 0)
    columns = (inputs.root_index, inputs.leaf_slot, inputs.input_ids)
    found = zip(*(column[window][is_leaf].tolist() for column in columns), strict=True)
    return {(root, slot): token for root, slot, token in found}


def asked_triples(sample: Sample, index: int) -> set[int]:
    """Return the triples of a window whose relation is asked for."""
    asked = sample.rows.edge_triples[index][sample.rows.relation_labels[index] >= 0]
    return {int(sample.batch.triple_index[triple]) for triple in set(asked)}


def slots(record: ChainGraph) -> list[tuple[int, int]]:
    """Return (root, slot) of each leaf of a record."""
    roots = record.leaf_roots.tolist()
    return [(root, roots[:leaf].count(root)) for leaf, root in enumerate(roots)]


def test_no_visible_local_leaf_restates_a_masked_root(sample: Sample) -> None:
    num_hidden = num_visible = 0
    for index in range(len(sample.records)):
        window = sample.window(index)
        read, places = leaves_in_row(sample, index), slots(window.record)
        for hung in window.triples():
            if window.record.triple_is_knowledge[hung.triple]:
                continue
            gives_away = any(roots & set(window.chosen) for roots in window.mentions(hung.spelled))
            for leaf in hung.leaves:
                is_hidden = places[leaf] not in read
                if gives_away:
                    assert is_hidden, (window.record.path, hung)
                    num_hidden += 1
                num_visible += not is_hidden
    assert num_hidden > 100
    assert num_visible > 100  # the rule does not blind the model


def test_local_leaves_are_to_be_seen_where_they_are_asked_about_alone(sample: Sample) -> None:
    """Else those that are not would tell which name is masked."""
    num_seen, num_other = 0, 0
    for index in range(len(sample.records)):
        window = sample.window(index)
        read, places = leaves_in_row(sample, index), slots(window.record)
        asked = asked_triples(sample, index)
        for hung in window.triples():
            is_seen = all(places[leaf] in read for leaf in hung.leaves)
            if window.record.triple_is_knowledge[hung.triple]:
                continue
            if hung.triple in asked:
                assert is_seen
                num_seen += 1
            elif is_seen:  # it says what the window does not
                assert not list(window.mentions(hung.spelled))
                num_other += 1
    assert min(num_seen, num_other) > 40


def test_what_hangs_on_a_masked_name_is_hidden_and_asks_nothing(sample: Sample) -> None:
    num_hidden = 0
    for index in range(len(sample.records)):
        window = sample.window(index)
        read, places = leaves_in_row(sample, index), slots(window.record)
        asked = asked_triples(sample, index)
        for hung in window.triples():
            is_hidden = bool(set(hung.head) & set(window.chosen))
            for leaf in hung.leaves:
                assert not (is_hidden and places[leaf] in read)
            assert not (is_hidden and hung.triple in asked)
            num_hidden += is_hidden
    assert num_hidden > 50


def test_the_mention_that_a_local_triple_hangs_on_spells_its_head(sample: Sample) -> None:
    """Else hiding by that mention would protect the wrong name."""
    for index in range(0, len(sample.records), 5):
        window = sample.window(index)
        for hung in window.triples():
            record, triple = window.record, hung.triple
            if record.triple_is_knowledge[triple]:  # says something of a parameter, at the function
                continue
            ends = record.triple_tails if record.triple_is_reversed[triple] else record.triple_heads
            text = window.text(record.root_ids[list(hung.head)].tolist()).decode(errors="replace")
            name = ends[triple].rsplit(".", 1)[-1]
            assert name in text or text.strip() in ends[triple], (record.path, ends[triple], text)


def test_a_relation_is_masked_for_all_slots_of_a_triple(sample: Sample) -> None:
    rows = sample.rows
    owners = rows.edge_triples[rows.edge_triples >= 0]
    relations = rows.inputs.edge_relation[rows.edge_triples >= 0]
    labels = rows.relation_labels[rows.edge_triples >= 0]
    for triple in owners.unique().tolist():
        assert len(relations[owners == triple].unique()) == 1
        assert len(labels[owners == triple].unique()) == 1
    is_asked = sample.masked.relation_labels != NO_LABEL
    assert torch.equal(owners[labels != NO_LABEL].unique(), is_asked.nonzero().flatten())
    assert int(is_asked.sum()) > 100


def test_a_masked_relation_is_neither_absent_nor_any_other(
    records: list[ChainGraph], tokenizer: Tokenizer
) -> None:
    """To the model, a triple of unknown relation differs from no triple and from every relation."""
    torch.manual_seed(0)
    model = GraphMERTModel(tiny(tokenizer.get_vocab_size())).eval()
    table = WindowTable.from_arrow(records_table(records))
    batch = table.batch(range(20))
    asked = evaluation_masks(batch, RATES, tokenizer.get_vocab_size()).relation_labels != NO_LABEL
    batch = table.batch(batch.triple_windows[asked][:1])
    inputs = pack(batch, evaluation_masks(batch, RATES, tokenizer.get_vocab_size())).inputs
    row, edge = (inputs.edge_relation == RATES.num_relations).nonzero()[0].tolist()
    leaf = int(inputs.edge_leaf[row, edge])

    def leaf_state(name: str, value: int) -> torch.Tensor:
        changed = getattr(inputs, name).clone()
        changed[row, edge] = value
        with torch.no_grad():
            return model.encode(replace(inputs, **{name: changed}))[row, leaf]

    states = [leaf_state("edge_leaf", -1)]
    states += [leaf_state("edge_relation", relation) for relation in range(RATES.num_relations + 1)]
    for i, state in enumerate(states):
        assert all((state - other).abs().max() > 1e-4 for other in states[:i])


def test_no_window_says_the_same_triple_twice(records: list[ChainGraph]) -> None:
    """A second copy would give a masked relation away."""
    for record in records:
        triples = list(
            zip(record.triple_heads, record.triple_relations, record.triple_tails, strict=True)
        )
        assert len(set(triples)) == len(triples), record.qualified_name


def test_no_window_shows_the_same_knowledge_twice(
    records: list[ChainGraph], tokenizer: Tokenizer
) -> None:
    """Nor do facts about a class and about its base, at `self`, look alike beside each other."""
    num_seen = 0
    for record in records:
        seen = set()
        for triple in record.triple_is_knowledge.nonzero()[0]:
            start, length = record.triple_head_starts[triple], record.triple_head_lengths[triple]
            mention = record.root_ids[start : start + length].tolist()
            leaves = record.leaf_ids[record.leaf_triples == triple].tolist()
            relation = int(record.triple_relations[triple])
            direction = bool(record.triple_is_reversed[triple])
            looks = (decode_bytes(tokenizer, mention).strip(), relation, direction, *leaves)
            assert looks not in seen, record.qualified_name
            seen.add(looks)
        num_seen += len(seen)
    assert num_seen > 1000


def test_labels_stand_on_bytes_of_the_file_only(sample: Sample) -> None:
    """Not on <s>, </s>, or the synthetic name that opens a window."""
    num_synthetic = 0
    for index, record in enumerate(sample.records):
        assert all(record.root_starts[root] >= 0 for root in sample.window(index).chosen)
        num_synthetic += int((record.root_starts < 0).sum()) - 2
    assert num_synthetic > 0


def test_evaluation_masks_are_the_same_in_any_batch_and_never_seen(
    records: list[ChainGraph], tokenizer: Tokenizer
) -> None:
    table = WindowTable.from_arrow(records_table(records))
    shuffled = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))
    seen: dict[int, list[list[int]]] = {}
    for batches in (torch.arange(len(records)).split(32), shuffled.split(7)):
        for chosen in batches:
            batch = table.batch(chosen)
            masked = evaluation_masks(batch, RATES, tokenizer.get_vocab_size())
            is_asked = masked.mlm_labels != NO_LABEL
            assert (masked.root_input_ids[is_asked] == RATES.mask_token_id).all()
            for window, window_id in enumerate(batch.window_ids.tolist()):
                roots, triples = batch.root_windows == window, batch.triple_windows == window
                masks = [
                    masked.mlm_labels[roots].tolist(),
                    masked.relation_labels[triples].tolist(),
                ]
                assert seen.setdefault(window_id, masks) == masks
    assert len(seen) == len(records)
