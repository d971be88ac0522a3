"""Facts as text, in the rows that a model reads, against lines written one by one."""

from dataclasses import replace

import torch
from random_tables import VOCAB_SIZE, random_table

from graphmert.data.fact_text import NOTHING
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch
from graphmert.training.masking import MaskedBatch, MaskSettings, mask_batch

LINE_START, SECOND_WORD = 3, 3000
RELATIONS = range(MaskSettings().num_relations + 1)
WORDS = torch.tensor(
    [[1000 + relation, SECOND_WORD if relation % 2 else NOTHING] for relation in RELATIONS]
    + [[LINE_START, NOTHING]]
)


def lines(batch: RaggedBatch, masked: MaskedBatch, window: int) -> list[int]:
    """Return the tokens of a window's lines."""
    text: list[int] = []
    for triple in (batch.triple_windows == window).nonzero().flatten().tolist():
        leaves = batch.leaf_triples == triple
        if not leaves.any() or masked.leaf_is_hidden[leaves].any():
            continue
        start, length = int(batch.triple_head_starts[triple]), batch.triple_head_lengths[triple]
        mention = masked.root_input_ids[start : start + int(length)].tolist()
        spelled = masked.leaf_input_ids[leaves].tolist()
        head, tail = mention, spelled
        if batch.triple_is_reversed[triple]:
            head, tail = spelled, mention
        word = WORDS[int(masked.relation_inputs[triple])]
        text += [LINE_START, *head, *word[word != NOTHING].tolist(), *tail]
    return text


def test_a_window_is_its_code_and_then_a_line_for_each_fact() -> None:
    table = random_table(seed=5)
    table = replace(table, fact_words=WORDS, layout=replace(table.layout, num_roots=48))
    batch = table.batch(range(table.num_windows))
    masked = mask_batch(batch, MaskSettings(mnm_share=1.0), 0, 0, VOCAB_SIZE)
    rows = pack(batch, masked)
    inputs, num_cut = rows.inputs, 0
    for window in range(batch.num_windows):
        is_own = inputs.window_index[window] >= 0
        code = masked.root_input_ids[batch.root_windows == window].tolist()
        wanted = code + lines(batch, masked, window)
        assert inputs.input_ids[window, is_own].tolist() == wanted[:48]
        places = list(range(min(len(wanted), 48)))
        assert inputs.root_index[window, is_own].tolist() == places
        assert inputs.position_ids[window, is_own].tolist() == places
        assert (inputs.leaf_slot[window, is_own] == -1).all()
        assert not inputs.token_type_ids[window].any()
        num_cut += len(wanted) > 48
    assert 0 < num_cut < batch.num_windows
    assert inputs.edge_leaf.shape[1] == 0
    asked = inputs.input_ids.flatten()[rows.mlm_tokens]
    assert torch.equal(asked, masked.root_input_ids[rows.mlm_roots])
