"""Attention within windows as fused Triton kernels: no tensor of N x N is ever written.

Legend: T tokens of all rows together, P ranges of them, H heads, S head size, D distances.
A range is a run of tokens that sees nothing outside itself: one packed window, or a whole row. One
program does one range and one head from end to end, so nothing is added up across programs but the
gradient of p, whose P partial sums are then reduced in a fixed order: results are the same from run
to run. Distances come from (root index, leaf slot) inside the kernels, decays from a table (H, D).
attention.py holds the plain path, which these kernels are tested against. Under TRITON_INTERPRET=1
they run on a CPU.
"""

import torch
import triton
from torch import Tensor

from graphmert.models import attention_kernels
from graphmert.models.token_ranges import TokenRanges

LOG2_E = 1.4426950408889634  # the kernels' softmax counts in powers of two
# Tokens of a tile: windows are some 100 to 250 tokens, so larger ones would be mostly empty, and
# more would not fit the registers of enough programs at once. Deeper pipelines gain nothing, since
# a window is but a few tiles. Measured by benchmarks/train_throughput.py.
FORWARD_TILES = {"BLOCK_QUERIES": 64, "BLOCK_KEYS": 32, "num_warps": 4, "num_stages": 1}
QUERY_TILES = {"BLOCK_QUERIES": 64, "BLOCK_KEYS": 32, "num_warps": 4, "num_stages": 1}
KEY_TILES = {"BLOCK_QUERIES": 32, "BLOCK_KEYS": 64, "num_warps": 4, "num_stages": 1}


def fused_attention(
    query_key_value: Tensor,
    p: Tensor,
    decay: Tensor,
    slope: Tensor,
    ranges: TokenRanges,
    is_added: bool = False,
) -> Tensor:
    """Return softmax(q k^T / sqrt(S) * decay(distance)) v, (T, H, S); 0 for tokens of no group.

    `query_key_value` is (T, 3, H, S), contiguous; `decay` and `slope`, its derivative by `p` (H,),
    are (H, D). Gradients go to `query_key_value` and, through `slope`, to `p`. `is_added`: scores
    plus `decay`, a table of logarithms.
    """
    out, _ = _attend(
        query_key_value,
        p,
        decay.detach(),
        slope.detach(),
        ranges.starts,
        ranges.groups,
        ranges.root_index,
        ranges.leaf_slot,
        is_added,
    )
    return out


def can_fuse(hidden: Tensor, head_size: int) -> bool:
    """Tell whether the kernels take these states (on a GPU, float32 or bf16) and heads."""
    has_type = hidden.dtype in (torch.float32, torch.bfloat16)
    return hidden.is_cuda and has_type and head_size in (16, 32, 64, 128)


# Custom operators, so that torch.compile takes them as they are.
@torch.library.custom_op("graphmert::attend", mutates_args=())
def _attend(
    query_key_value: Tensor,
    p: Tensor,
    decay: Tensor,
    slope: Tensor,
    starts: Tensor,
    groups: Tensor,
    root_index: Tensor,
    leaf_slot: Tensor,
    is_added: bool,
) -> tuple[Tensor, Tensor]:
    """Return what each token gathers (T, H, S) and its log2 sum of weights (H, T)."""
    num_tokens, _, num_heads, head_size = query_key_value.shape
    out = query_key_value.new_empty(num_tokens, num_heads, head_size)
    log_sums = query_key_value.new_empty(num_heads, num_tokens, dtype=torch.float32)
    attention_kernels.attend[((len(starts) - 1) * num_heads,)](
        query_key_value,
        _score_table(decay, head_size, is_added),
        starts,
        groups,
        root_index,
        leaf_slot,
        out,
        log_sums,
        num_tokens,
        decay.shape[1],
        _score_scale(head_size),
        num_heads=num_heads,
        head_size=head_size,
        IS_ADDED=is_added,
        PRECISION=_precision(query_key_value),
        **FORWARD_TILES,
    )
    return out, log_sums


@_attend.register_fake
def _(
    query_key_value: Tensor,
    p: Tensor,
    decay: Tensor,
    slope: Tensor,
    starts: Tensor,
    groups: Tensor,
    root_index: Tensor,
    leaf_slot: Tensor,
    is_added: bool,
) -> tuple[Tensor, Tensor]:
    num_tokens, _, num_heads, head_size = query_key_value.shape
    return (
        query_key_value.new_empty(num_tokens, num_heads, head_size),
        query_key_value.new_empty(num_heads, num_tokens, dtype=torch.float32),
    )


@torch.library.custom_op("graphmert::attend_backward", mutates_args=())
def _attend_backward(
    out_gradient: Tensor,
    query_key_value: Tensor,
    decay: Tensor,
    slope: Tensor,
    starts: Tensor,
    groups: Tensor,
    root_index: Tensor,
    leaf_slot: Tensor,
    out: Tensor,
    log_sums: Tensor,
    is_added: bool,
    is_p_learnt: bool,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `query_key_value` and of p (H,); the latter 0 unless learnt."""
    num_tokens, _, num_heads, head_size = query_key_value.shape
    num_ranges, num_distances = len(starts) - 1, decay.shape[1]
    out_gradient = out_gradient.contiguous()
    gradient = torch.empty_like(query_key_value)
    offsets = torch.empty_like(log_sums)
    p_gradients = log_sums.new_zeros(num_ranges if is_p_learnt else 1, num_heads)
    places = (starts, groups, root_index, leaf_slot)
    table, scale = _score_table(decay, head_size, is_added), _score_scale(head_size)
    grid = (num_ranges * num_heads,)
    attention_kernels.query_gradient[grid](
        query_key_value,
        table,
        slope if is_added else slope * head_size**-0.5,
        *places,
        out,
        log_sums,
        out_gradient,
        offsets,
        gradient,
        p_gradients,
        num_tokens,
        num_distances,
        scale,
        num_heads=num_heads,
        head_size=head_size,
        IS_ADDED=is_added,
        IS_P_LEARNT=is_p_learnt,
        PRECISION=_precision(query_key_value),
        **QUERY_TILES,
    )
    attention_kernels.key_value_gradient[grid](
        query_key_value,
        table,
        *places,
        log_sums,
        out_gradient,
        offsets,
        gradient,
        num_tokens,
        num_distances,
        scale,
        num_heads=num_heads,
        head_size=head_size,
        IS_ADDED=is_added,
        PRECISION=_precision(query_key_value),
        **KEY_TILES,
    )
    return gradient, p_gradients.sum(0)


@_attend_backward.register_fake
def _(
    out_gradient: Tensor,
    query_key_value: Tensor,
    decay: Tensor,
    slope: Tensor,
    starts: Tensor,
    groups: Tensor,
    root_index: Tensor,
    leaf_slot: Tensor,
    out: Tensor,
    log_sums: Tensor,
    is_added: bool,
    is_p_learnt: bool,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(query_key_value), log_sums.new_empty(log_sums.shape[0])


def _keep_for_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    query_key_value, p, decay, slope, *places, is_added = inputs
    ctx.save_for_backward(query_key_value, decay, slope, *places, *output)
    ctx.is_added = is_added
    ctx.is_p_learnt = ctx.needs_input_grad[1]
    ctx.p_dtype = p.dtype


def _differentiate(ctx, out_gradient, _):  # type: ignore[no-untyped-def]
    gradient, p_gradient = _attend_backward(
        out_gradient, *ctx.saved_tensors, ctx.is_added, ctx.is_p_learnt
    )
    p_gradient = p_gradient.to(ctx.p_dtype) if ctx.is_p_learnt else None
    return gradient, p_gradient, *[None] * 7


_attend.register_autograd(_differentiate, setup_context=_keep_for_backward)


def _score_table(decay: Tensor, head_size: int, is_added: bool) -> Tensor:
    """Return what a product q . k is multiplied by at each distance, or what is added to it after
    the scale; for powers of two."""
    scale = LOG2_E if is_added else _score_scale(head_size)
    return (decay.float() * scale).contiguous()


def _score_scale(head_size: int) -> float:
    """Return what makes a product a score, for powers of two."""
    return LOG2_E * head_size**-0.5


def _precision(query_key_value: Tensor) -> str:
    """Return how the kernels multiply: float32 as it is, not cut to tf32."""
    assert query_key_value.is_contiguous()
    if triton.knobs.runtime.interpret:
        return "interpreted"
    return "ieee" if query_key_value.dtype == torch.float32 else "tf32"
