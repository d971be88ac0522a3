"""`evaluate` against a loop over windows, tokens and triples, one at a time."""

import math

import pytest
import torch
from chain_graph_examples import random_chain_graphs
from tokenizers import Tokenizer
from torch.nn import functional

from graph_builder.layout import ChainLayout
from graph_builder.shards import records_table
from graphmert.data.leaf_choice import LeafChoice, choose_leaves
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.evaluate import evaluate, knowledge_only
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

LAYOUT = ChainLayout(num_roots=24, leaves_per_root=3)
SETTINGS = MaskSettings()
VOCAB_SIZE = 60


@pytest.fixture(scope="module")
def table() -> WindowTable:
    records = random_chain_graphs(7, 30, LAYOUT, vocab_size=VOCAB_SIZE)
    return WindowTable.from_arrow(records_table(records), LAYOUT)


@pytest.fixture(scope="module")
def model() -> GraphMERTModel:
    torch.manual_seed(0)
    config = GraphMERTConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_roots=LAYOUT.num_roots,
        leaves_per_root=LAYOUT.leaves_per_root,
        initializer_range=0.3,
    )
    return GraphMERTModel(config).train()


def test_report_equals_a_loop_over_windows(model: GraphMERTModel, table: WindowTable) -> None:
    report = evaluate(model, table, SETTINGS, batch_size=7)
    tokens, slots, triples = [], [], []
    for index in range(table.num_windows):
        for kind, found in zip(
            (tokens, slots, triples), loop(model.eval(), table, index), strict=True
        ):
            kind.extend(found)
    assert report.num_windows == table.num_windows
    assert report.num_masked_tokens == len(tokens) > 50
    bits = sum(loss for loss, _, _ in tokens) / math.log(2)
    num_bytes = sum(count for _, count, _ in tokens)
    assert report.num_masked_bytes == num_bytes
    assert report.bits_per_byte == pytest.approx(bits / num_bytes, rel=1e-4)
    assert report.mlm_loss == pytest.approx(mean([loss for loss, _, _ in tokens]), rel=1e-4)
    assert report.metrics()["perplexity"] == pytest.approx(2 ** (bits / len(tokens)), rel=1e-3)
    assert report.mlm_accuracy == pytest.approx(mean([hit for _, _, hit in tokens]))
    assert report.mnm_loss == pytest.approx(mean(slots), rel=1e-4)
    assert report.relations.every.num_triples == len(triples) > 20
    hits = [label == predicted for label, predicted, _ in triples]
    assert report.relation_accuracy == pytest.approx(mean(hits))
    known = [label == predicted for label, predicted, is_knowledge in triples if is_knowledge]
    assert report.relations.knowledge.num_triples == len(known)
    assert report.relations.knowledge.accuracy == pytest.approx(mean(known))


def loop(
    model: GraphMERTModel, table: WindowTable, index: int
) -> tuple[list[tuple], list[float], list[tuple]]:
    """Return (loss, bytes, hit) a masked root, the loss a slot, (label, said, kind) a triple."""
    batch = table.batch([index])
    masked = evaluation_masks(batch, SETTINGS, VOCAB_SIZE)
    rows = pack(batch, masked)
    with torch.no_grad():
        hidden = model.encode(rows.inputs)
        relation_logits = model.relation_logits(hidden, rows.inputs)[0]
    tokens, slots, triples = [], [], []
    for root, label in enumerate(masked.mlm_labels.tolist()):
        if label != NO_LABEL:
            logits = model.lm_head(hidden[0, root])  # a window's roots open its row
            loss = float(functional.cross_entropy(logits, torch.tensor(label)).detach())
            tokens.append((loss, int(batch.root_bytes[root]), int(logits.argmax()) == label))
    for triple, label in enumerate(masked.relation_labels.tolist()):
        if label != NO_LABEL:
            edges = [e for e, owner in enumerate(rows.edge_triples[0].tolist()) if owner == triple]
            assert edges
            scores = [functional.log_softmax(relation_logits[edge], dim=-1) for edge in edges]
            slots.extend(-float(score[label]) for score in scores)
            said = int(torch.stack(scores).mean(dim=0).argmax())
            triples.append((label, said, bool(batch.triple_is_knowledge[triple])))
    return tokens, slots, triples


def mean(values: list) -> float:
    return sum(map(float, values)) / len(values)


def test_report_does_not_depend_on_the_batch_size_and_the_mode_stays(
    model: GraphMERTModel, table: WindowTable
) -> None:
    reports = [evaluate(model.train(), table, SETTINGS, batch_size=size) for size in (1, 30)]
    assert model.training
    metrics = [report.metrics() for report in reports]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-5)
    assert reports[0].relations.every.confusion_matrix == (
        reports[1].relations.every.confusion_matrix
    )


def test_an_untrained_model_is_at_chance(table: WindowTable) -> None:
    torch.manual_seed(1)
    config = GraphMERTConfig(vocab_size=VOCAB_SIZE, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=32, num_roots=24, leaves_per_root=3)  # fmt: skip
    report = evaluate(GraphMERTModel(config), table, SETTINGS)
    assert report.mlm_loss == pytest.approx(math.log(VOCAB_SIZE), abs=0.2)
    assert report.mnm_loss == pytest.approx(math.log(12), abs=0.2)


def test_a_table_without_windows_is_refused(model: GraphMERTModel, table: WindowTable) -> None:
    empty = WindowTable.from_arrow(records_table([]), LAYOUT)
    with pytest.raises(ValueError, match="no windows"):
        evaluate(model, empty, SETTINGS)


def test_knowledge_only_tokens_equal_those_found_by_sets(table: WindowTable) -> None:
    batch = table.batch(range(table.num_windows))
    masked = evaluation_masks(batch, SETTINGS, VOCAB_SIZE)
    same_text = torch.arange(VOCAB_SIZE) // 2  # tokens 2i and 2i + 1 spell one text
    found = knowledge_only(batch, masked, same_text)
    expected = []
    for root in range(len(batch.root_ids)):
        window = int(batch.root_windows[root])
        text = int(batch.root_ids[root]) // 2
        expected.append(
            int(masked.mlm_labels[root]) != NO_LABEL
            and text in shown_in_leaves(batch, masked, window, is_knowledge=True)
            and text not in shown_in_leaves(batch, masked, window, is_knowledge=False)
            and text not in set((masked.root_input_ids[batch.root_windows == window] // 2).tolist())
        )
    assert found.tolist() == expected
    assert 0 < sum(expected) < (masked.mlm_labels != NO_LABEL).sum()


def shown_in_leaves(
    batch: RaggedBatch, masked: MaskedBatch, window: int, is_knowledge: bool
) -> set[int]:
    texts = set()
    for leaf in (batch.leaf_windows == window).nonzero().flatten().tolist():
        is_visible = not masked.leaf_is_hidden[leaf]
        is_visible &= int(masked.leaf_input_ids[leaf]) != SETTINGS.mask_token_id
        if is_visible and bool(batch.triple_is_knowledge[batch.leaf_triples[leaf]]) is is_knowledge:
            texts.add(int(batch.leaf_ids[leaf]) // 2)
    return texts


def test_tokens_with_and_without_a_leading_space_share_a_text(tokenizer: Tokenizer) -> None:
    ids = text_ids(tokenizer)
    assert len(ids) == tokenizer.get_vocab_size()
    vocabulary = tokenizer.get_vocab()
    pairs = [
        (vocabulary["Ġ" + text], token)
        for text, token in vocabulary.items()
        if "Ġ" + text in vocabulary
    ]
    assert len(pairs) > 10
    assert all(ids[spaced] == ids[plain] for spaced, plain in pairs)
    assert len(set(ids.tolist())) == len({text.lstrip("Ġ") for text in vocabulary})


def test_figures_are_summed_by_source(model: GraphMERTModel, table: WindowTable) -> None:
    measures = evaluate(model, table, SETTINGS, batch_size=7).measures
    sources = [str(table.describe(index)["source"]) for index in range(table.num_windows)]
    for source in set(sources):
        tokens, triples = [], []
        for index in range(table.num_windows):
            if sources[index] == source:
                own_tokens, _, own_triples = loop(model.eval(), table, index)
                tokens.extend(own_tokens)
                triples.extend(own_triples)
        sums = {name: measure.by_source[source] for name, measure in measures.items()}
        assert sums["token_accuracy"].num_questions == len(tokens) > 0
        assert sums["token_accuracy"].total == sum(hit for _, _, hit in tokens)
        assert sums["token_loss"].total == pytest.approx(sum(loss for loss, _, _ in tokens))
        assert sums["relation_accuracy"].num_questions == len(triples) > 0
        hits = [(label == said, is_knowledge) for label, said, is_knowledge in triples]
        assert sums["relation_accuracy"].total == sum(hit for hit, _ in hits)
        assert sums["local_relation_accuracy"].total == sum(hit for hit, known in hits if not known)
        assert sums["knowledge_relation_accuracy"].num_questions == sum(known for _, known in hits)


def test_rare_tokens_are_those_of_all_leaves_whichever_leaves_are_seen(
    model: GraphMERTModel, table: WindowTable
) -> None:
    bare = choose_leaves(table, LeafChoice.NONE, seed=0)
    whole, without = (
        evaluate(model, each, SETTINGS, all_leaves=all_leaves)
        for each, all_leaves in ((table, None), (bare, table))
    )
    assert without.num_knowledge_only_tokens == whole.num_knowledge_only_tokens > 0
    assert without.num_masked_tokens == whole.num_masked_tokens
    assert without.mlm_loss != whole.mlm_loss
    assert evaluate(model, bare, SETTINGS).num_knowledge_only_tokens == 0
