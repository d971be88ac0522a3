"""The hashed dropout drops the share it should, anew for each seed and without a pattern."""

import pytest
import torch
from torch import Tensor

from graphmert.models.dropout import Dropout, hashed_dropout


def kept(seed: int, p: float = 0.1, shape: tuple[int, ...] = (400, 768)) -> Tensor:
    return hashed_dropout(torch.ones(shape), p, torch.tensor([seed], dtype=torch.int32)) != 0


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_it_drops_the_share_and_keeps_the_mean(p: float) -> None:
    out = hashed_dropout(torch.ones(1000, 512), p, torch.tensor([7], dtype=torch.int32))
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=0.003)
    assert float(out.mean()) == pytest.approx(1.0, abs=0.005)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])


def test_rows_columns_and_seeds_look_independent() -> None:
    first, second = kept(1), kept(2)
    assert float((first & second).float().mean()) == pytest.approx(0.81, abs=0.004)
    assert float((first[1:] & first[:-1]).float().mean()) == pytest.approx(0.81, abs=0.004)
    assert float((first[:, 1:] & first[:, :-1]).float().mean()) == pytest.approx(0.81, abs=0.004)
    for share in (first.float().mean(0), first.float().mean(1)):
        assert float(share.min()) > 0.8
    assert torch.equal(kept(1), first)


def test_gradient_passes_where_a_value_was_kept() -> None:
    values = torch.randn(50, 16, requires_grad=True)
    out = hashed_dropout(values, 0.25, torch.tensor([3], dtype=torch.int32))
    out.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, (out != 0) / 0.75)


def test_it_does_nothing_in_evaluation() -> None:
    values = torch.randn(5, 16)
    assert torch.equal(Dropout(0.5).eval()(values), values)
