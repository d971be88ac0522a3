"""The fused attention against the plain path in float64, on a GPU or under Triton's interpreter.

tests/conftest.py turns the interpreter on where there is no GPU.
"""

import pytest
import torch
from torch import Tensor

from graphmert.models.attention import AttentionScope, decayed_attention
from graphmert.models.decay import DistanceDecay, chain_distances
from graphmert.models.fused_attention import fused_attention
from graphmert.models.token_ranges import TokenRanges

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NUM_ROOTS, LEAVES_PER_ROOT = 128, 7


def random_ranges(lengths: list[list[int]], seed: int, hidden_share: float = 0.1) -> TokenRanges:
    """Return a range for each list, which holds a window of each length, with hidden tokens."""
    g = torch.Generator().manual_seed(seed)
    starts = torch.tensor([0, *(sum(each) for each in lengths)]).cumsum(0)
    windows = [length for each in lengths for length in each]
    groups = torch.repeat_interleave(torch.tensor(windows))
    root_index, leaf_slot = [], []
    for length in windows:
        num_roots = min(NUM_ROOTS, max(1, length - length // 4))
        owners = torch.randint(num_roots, (length - num_roots,), generator=g)
        slots = torch.randint(LEAVES_PER_ROOT, (length - num_roots,), generator=g)
        root_index += [torch.arange(num_roots), owners]
        leaf_slot += [torch.full((num_roots,), -1), slots]
    is_hidden = torch.rand(len(groups), generator=g) < hidden_share
    return TokenRanges(
        starts=starts.int().to(DEVICE),
        groups=groups.masked_fill(is_hidden, -1).int().to(DEVICE),
        root_index=torch.cat(root_index).to(torch.int16).to(DEVICE),
        leaf_slot=torch.cat(leaf_slot).to(torch.int8).to(DEVICE),
    )


def plain(query_key_value: Tensor, decay: Tensor, ranges: TokenRanges, is_added: bool) -> Tensor:
    """Return the plain path's answer (T, H, S), all tokens in one row; 0 for hidden ones."""
    groups = ranges.groups.long()
    own = torch.where(groups >= 0, groups, -1 - torch.arange(len(groups), device=DEVICE))
    scope = AttentionScope(
        distances=chain_distances(ranges.root_index.long()[None], ranges.leaf_slot.long()[None]),
        is_apart=(own[:, None] != own[None, :])[None],
    )
    query, key, value = query_key_value.permute(1, 2, 0, 3)[:, :, None]  # each (H, 1, T, S)
    gathered = decayed_attention(query, key, value, decay, scope, is_added)[:, 0]
    gathered = gathered.transpose(0, 1)
    return gathered * (groups >= 0)[:, None, None]


def outcomes(
    seed: int,
    lengths: list[list[int]],
    dtype: torch.dtype,
    num_heads: int = 2,
    head_size: int = 32,
    is_added: bool = False,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return (fused, float64 plain): the output and both gradients of a random loss."""
    g = torch.Generator().manual_seed(seed)
    ranges = random_ranges(lengths, seed)
    num_tokens = len(ranges.groups)
    shape = (num_tokens, 3, num_heads, head_size)
    packed = (1.5 * torch.randn(shape, generator=g)).to(DEVICE, dtype)
    weights = torch.randn(num_tokens, num_heads, head_size, generator=g).to(DEVICE, dtype)
    exponents = torch.rand(num_heads, generator=g) * (12 if is_added else 2)
    found = []
    for is_fused in (True, False):
        wide = torch.float32 if is_fused else torch.float64
        module = DistanceDecay(num_heads, NUM_ROOTS + 2, 0.6, 1.0, is_learnable=True)
        module.p.data = exponents.to(DEVICE, wide)
        inputs = packed.detach().to(dtype if is_fused else wide).requires_grad_()
        table = module.logarithm() if is_added else module()
        if is_fused:
            slope = module.log_slope() if is_added else module.slope()
            out = fused_attention(inputs, module.p, table, slope, ranges, is_added)
        else:
            out = plain(inputs, table, ranges, is_added)
        out.backward(weights.to(out.dtype))
        found.append({"out": out.detach(), "inputs": inputs.grad, "p": module.p.grad})
    return found[0], found[1]


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


LENGTHS = [
    pytest.param([[1], [2], [70], [1, 1, 17, 30]], id="one-token windows, several a range"),
    pytest.param([[64], [65], [128, 5]], id="at and past the edges of tiles"),
    pytest.param([[150], [33]], id="as real windows"),
]


@pytest.mark.parametrize("is_added", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_float32_agrees_with_float64(lengths: list[list[int]], is_added: bool) -> None:
    fused, wanted = outcomes(1, lengths, torch.float32, is_added=is_added)
    assert relative_error(fused["out"], wanted["out"]) < 1e-5
    assert relative_error(fused["inputs"], wanted["inputs"]) < 1e-5
    assert relative_error(fused["p"], wanted["p"]) < 1e-2


@pytest.mark.parametrize("is_added", [True, False])
@pytest.mark.parametrize("seed", [2, 3])
def test_bf16_agrees_with_float64(seed: int, is_added: bool) -> None:
    fused, wanted = outcomes(seed, [[50, 40], [70]], torch.bfloat16, is_added=is_added)
    assert relative_error(fused["out"], wanted["out"]) < 1e-2
    assert relative_error(fused["inputs"], wanted["inputs"]) < 1e-2
    assert relative_error(fused["p"], wanted["p"]) < 5e-2


def test_hidden_tokens_give_and_get_nothing() -> None:
    ranges = random_ranges([[40]], seed=4, hidden_share=0.3)
    is_hidden = ranges.groups < 0
    module = DistanceDecay(2, NUM_ROOTS + 2, 0.6, 1.0, is_learnable=False).to(DEVICE)
    g = torch.Generator().manual_seed(4)
    inputs = torch.randn(40, 3, 2, 16, generator=g).to(DEVICE).requires_grad_()
    out = fused_attention(inputs, module.p, module(), module.slope(), ranges)
    out.square().sum().backward()
    assert inputs.grad is not None
    assert not out[is_hidden].any()
    assert not inputs.grad[is_hidden].any()
    assert module.p.grad is None
    assert out[~is_hidden].all()


@pytest.mark.parametrize("is_added", [True, False])
def test_same_inputs_give_the_same_bits(is_added: bool) -> None:
    first, _ = outcomes(5, [[70], [20, 10]], torch.bfloat16, is_added=is_added)
    second, _ = outcomes(5, [[70], [20, 10]], torch.bfloat16, is_added=is_added)
    assert all(torch.equal(first[name], second[name]) for name in first)
