"""Updates cut from one packed round, against the same windows masked and packed by themselves."""

from dataclasses import replace

import pytest
import torch
from random_tables import VOCAB_SIZE, random_table
from tokenizers import Tokenizer

from graphmert.data.fact_text import fact_words, write_facts
from graphmert.data.packing import pack
from graphmert.data.updates import LABEL_MULTIPLE, TOKEN_MULTIPLE, packed_updates
from graphmert.data.windows import WindowTable
from graphmert.models.attention import AttentionScope, attention_scope
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.token_ranges import token_ranges
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskSettings, mask_batch
from graphmert.training.update import summed_losses

SEED, EPOCH = 3, 1


@pytest.fixture
def table() -> WindowTable:
    return random_table(seed=1, num_windows=14)


@pytest.fixture
def updates() -> list[torch.Tensor]:
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    return [order[:5], order[5:6], order[6:]]


@pytest.mark.parametrize("kind", ["relations", "tails", "text"])
def test_an_update_has_the_losses_and_gradients_of_its_windows_alone(
    kind: str, table: WindowTable, updates: list[torch.Tensor], tokenizer: Tokenizer
) -> None:
    torch.manual_seed(0)
    if kind == "text":
        table = replace(
            write_facts(table, tokenizer),
            fact_words=fact_words(tokenizer).clamp(max=VOCAB_SIZE - 1),
        )
    config = GraphMERTConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_roots=table.layout.num_roots,
        leaves_per_root=table.layout.leaves_per_root,
    )
    model = GraphMERTModel(config).double().eval()
    masks = MaskSettings(mnm_share=0.5, mnm_target="tails" if kind == "tails" else "relations")
    rounds = packed_updates(table, updates, masks, SEED, EPOCH, VOCAB_SIZE)
    for windows, rows in zip(updates, rounds, strict=True):
        batch = table.batch(windows)
        alone = pack(batch, mask_batch(batch, masks, SEED, EPOCH, VOCAB_SIZE))
        outcomes = []
        for each in (rows, alone):
            model.zero_grad()
            losses = torch.stack(summed_losses(model, each))
            losses.sum().backward()
            gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
            outcomes.append((losses.detach(), torch.cat(gradients)))
        # The losses are summed in float32.
        torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-5, atol=1e-5)
        assert (rows.mlm_labels != NO_LABEL).sum() == len(alone.mlm_labels) > 0
        num_relations, num_tails = (
            (each != NO_LABEL).sum() for each in (rows.relation_labels, rows.tail_labels)
        )
        assert num_relations == (alone.relation_labels != NO_LABEL).sum()
        assert num_tails == len(alone.tail_labels)
        assert (num_relations > 0, num_tails > 0) == (kind == "relations", kind == "tails")


def test_ranges_hold_exactly_the_tokens_that_see_each_other(
    table: WindowTable, updates: list[torch.Tensor]
) -> None:
    for rows in packed_updates(table, updates, MaskSettings(), SEED, EPOCH, VOCAB_SIZE):
        ranges = token_ranges(rows.inputs)
        assert rows.inputs.input_ids.shape[1] % TOKEN_MULTIPLE == 0
        assert len(rows.mlm_labels) % LABEL_MULTIPLE == 0
        lengths = ranges.starts.diff().long()
        assert lengths.sum() == len(ranges.groups)
        range_of_token = torch.repeat_interleave(lengths)
        sees = (range_of_token[:, None] == range_of_token) & (
            ranges.groups[:, None] == ranges.groups
        )
        is_real = ranges.groups >= 0
        plain: AttentionScope = attention_scope(rows.inputs)
        torch.testing.assert_close(sees[is_real], ~plain.is_apart[0][is_real])
