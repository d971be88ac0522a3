"""A whole model through the fused attention, against the same model through the plain path."""

from typing import Any

import pytest
import torch
from random_tables import VOCAB_SIZE, random_table

from graphmert.data import updates
from graphmert.data.packing import pack
from graphmert.models import attention
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.inputs import GraphInputs
from graphmert.models.token_ranges import TokenRanges
from graphmert.training.masking import MaskSettings, mask_batch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TABLE = random_table(seed=2, num_windows=3)


def rows_of_one_window() -> GraphInputs:
    """Return a row a window, with padding; some tokens of each are hidden."""
    batch = TABLE.batch(range(3))
    inputs = pack(batch, mask_batch(batch, MaskSettings(), 0, 0, VOCAB_SIZE)).inputs
    inputs.window_index[:, 3::7] = -1
    return inputs


def one_packed_row() -> GraphInputs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(updates, "TOKEN_MULTIPLE", updates.PADDING_RANGE)  # the interpreter is slow
        rounds = updates.packed_updates(TABLE, [torch.arange(3)], MaskSettings(), 0, 0, VOCAB_SIZE)
        return next(iter(rounds)).inputs


@pytest.mark.parametrize("inputs", [rows_of_one_window(), one_packed_row()], ids=["rows", "packed"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_decay": False},
        {"decay_form": "product"},
        {"decay_form": "product", "are_roots_joined": False, "use_hgat": False},
    ],
    ids=str,
)
def test_fused_model_agrees_with_the_plain_one(
    inputs: GraphInputs, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = GraphMERTConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_roots=TABLE.layout.num_roots,
        **settings,
    )
    model = GraphMERTModel(config).eval()
    for parameter in model.layers.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    is_real = (inputs.window_index >= 0)[:, :, None]
    outcomes = []
    for is_fused in (False, True):
        where = DEVICE if is_fused else "cpu"
        model.to(where).zero_grad()
        monkeypatch.setattr(attention.fused, "can_fuse", lambda *_, answer=is_fused: answer)
        scope = attention.choose_scope(inputs, torch.empty(1, 1, 32), 2)
        assert isinstance(scope, TokenRanges) == is_fused
        hidden = model.encode(inputs.to(where)) * is_real.to(where)
        hidden.square().sum().backward()
        gradients = {
            name: weight.grad.clone().cpu()  # the next model.to moves gradients in place
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        outcomes.append((hidden.detach().cpu(), gradients))
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=1e-3, atol=2e-4)
