"""The Triton kernels of the fused attention, as fused_attention.py describes and launches them.

Legend: T tokens, P ranges, H heads, S head size, D distances. One program does one range and one
head from end to end; all sums run in float32. Tiles of the two gradient kernels follow the forward
one, so that each weight is computed again from the same numbers.
"""
# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl

LN_2 = tl.constexpr(0.6931471805599453)  # the softmax counts in powers of two
# A leaf's place is 16 * root + slot and a root's lies far from all leaves', so that the difference
# of two places is below the path over their roots for neighbouring leaves of one root alone.
PLACES_PER_ROOT = tl.constexpr(16)
FIRST_ROOT_PLACE = tl.constexpr(1 << 20)


@triton.jit
def _load_places(root_index, leaf_slot, groups, tokens, is_inside):
    """Return (group, root, 0 or 1 for a leaf, place) of tokens; group -1 outside."""
    group = tl.load(groups + tokens, mask=is_inside, other=-1)
    root = tl.load(root_index + tokens, mask=is_inside, other=0).to(tl.int32)
    slot = tl.load(leaf_slot + tokens, mask=is_inside, other=-1).to(tl.int32)
    is_leaf = (slot >= 0).to(tl.int32)
    place = root * PLACES_PER_ROOT + tl.where(slot >= 0, slot, FIRST_ROOT_PLACE)
    return group, root, is_leaf, place


@triton.jit
def _distances(root_a, leaf_a, place_a, root_b, leaf_b, place_b):
    """Return the shortest paths (A, B) between tokens of one window; see decay.py."""
    over_roots = tl.abs(root_a[:, None] - root_b[None, :]) + (leaf_a[:, None] + leaf_b[None, :])
    return tl.minimum(over_roots, tl.abs(place_a[:, None] - place_b[None, :]))


@triton.jit
def _look_up(table, distances, PRECISION: tl.constexpr):
    """Return the table's numbers at these distances, in the layout of `distances`.

    A tl.load would be given a layout of its own, and its result go through shared memory to that of
    the scores; an instruction for each element stays where it is.
    """
    if PRECISION == "interpreted":
        return tl.load(table + distances)
    else:
        return tl.inline_asm_elementwise(
            """{
            .reg .u64 address;
            mad.wide.s32 address, $1, 4, $2;
            ld.global.nc.f32 $0, [address];
            }""",
            "=f,r,l",
            [distances, table.to(tl.int64)],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )


@triton.jit
def _dot(a, b, PRECISION: tl.constexpr):
    """Return a @ b, added up in float32. The interpreter has no product of bf16."""
    if PRECISION == "interpreted":
        return tl.dot(a.to(tl.float32), b.to(tl.float32))
    else:
        return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def _scores(products, entries, scale, IS_ADDED: tl.constexpr):
    """Return products times the table's entries or, scaled, plus these."""
    return products * scale + entries if IS_ADDED else products * entries


@triton.jit
def attend(
    query_key_value,
    decay,
    starts,
    groups,
    root_index,
    leaf_slot,
    out,
    log_sums,
    num_tokens,
    num_distances,
    scale,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    IS_ADDED: tl.constexpr,
    BLOCK_QUERIES: tl.constexpr,
    BLOCK_KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    head = tl.program_id(0) % num_heads
    start = tl.load(starts + tl.program_id(0) // num_heads)
    end = tl.load(starts + tl.program_id(0) // num_heads + 1)
    token_size: tl.constexpr = 3 * num_heads * head_size
    width: tl.constexpr = num_heads * head_size
    columns = head * head_size + tl.arange(0, head_size)
    table = decay + head * num_distances
    for first_query in range(start, end, BLOCK_QUERIES):
        queries = first_query + tl.arange(0, BLOCK_QUERIES)
        is_query = queries < end
        group_q, root_q, leaf_q, place_q = _load_places(
            root_index, leaf_slot, groups, queries, is_query
        )
        group_q = tl.where(group_q < 0, -2, group_q)  # unlike a hidden key's
        at_query = query_key_value + queries.to(tl.int64)[:, None] * token_size + columns[None, :]
        q = tl.load(at_query, mask=is_query[:, None], other=0.0)
        gathered = tl.zeros([BLOCK_QUERIES, head_size], tl.float32)
        largest = tl.full([BLOCK_QUERIES], float("-inf"), tl.float32)
        total = tl.zeros([BLOCK_QUERIES], tl.float32)
        for first_key in range(start, end, BLOCK_KEYS):
            keys = first_key + tl.arange(0, BLOCK_KEYS)
            is_key = keys < end
            group_k, root_k, leaf_k, place_k = _load_places(
                root_index, leaf_slot, groups, keys, is_key
            )
            at_key = query_key_value + keys.to(tl.int64)[:, None] * token_size + columns[None, :]
            k = tl.load(at_key + width, mask=is_key[:, None], other=0.0)
            v = tl.load(at_key + 2 * width, mask=is_key[:, None], other=0.0)
            distances = _distances(root_q, leaf_q, place_q, root_k, leaf_k, place_k)
            entries = _look_up(table, distances, PRECISION)
            scores = _scores(_dot(q, tl.trans(k), PRECISION), entries, scale, IS_ADDED)
            scores = tl.where(group_q[:, None] == group_k[None, :], scores, float("-inf"))
            new_largest = tl.maximum(largest, tl.max(scores, 1))
            # A row that has seen nothing yet: any finite number keeps its exponents at 0.
            shift = tl.where(new_largest == float("-inf"), 0.0, new_largest)
            weights = tl.exp2(scores - shift[:, None])
            shrink = tl.exp2(largest - shift)
            total = total * shrink + tl.sum(weights, 1)
            gathered = gathered * shrink[:, None]
            gathered += _dot(weights.to(v.dtype), v, PRECISION)
            largest = new_largest
        is_seeing = total > 0.0
        gathered = gathered / tl.where(is_seeing, total, 1.0)[:, None]
        at_out = out + queries.to(tl.int64)[:, None] * width + columns[None, :]
        tl.store(at_out, gathered.to(out.dtype.element_ty), mask=is_query[:, None])
        # Infinity makes the weights of a row without keys 0 in the backward kernels.
        log_sum = tl.where(
            is_seeing, largest + tl.log2(tl.where(is_seeing, total, 1.0)), float("inf")
        )
        tl.store(log_sums + head.to(tl.int64) * num_tokens + queries, log_sum, mask=is_query)


@triton.jit
def query_gradient(
    query_key_value,
    decay,
    slope,
    starts,
    groups,
    root_index,
    leaf_slot,
    out,
    log_sums,
    out_gradient,
    offsets,
    gradient,
    p_gradients,
    num_tokens,
    num_distances,
    scale,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    IS_ADDED: tl.constexpr,
    IS_P_LEARNT: tl.constexpr,
    BLOCK_QUERIES: tl.constexpr,
    BLOCK_KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    head = tl.program_id(0) % num_heads
    start = tl.load(starts + tl.program_id(0) // num_heads)
    end = tl.load(starts + tl.program_id(0) // num_heads + 1)
    token_size: tl.constexpr = 3 * num_heads * head_size
    width: tl.constexpr = num_heads * head_size
    columns = head * head_size + tl.arange(0, head_size)
    table = decay + head * num_distances
    slope_table = slope + head * num_distances
    p_rows = tl.zeros([BLOCK_QUERIES], tl.float32)
    for first_query in range(start, end, BLOCK_QUERIES):
        queries = first_query + tl.arange(0, BLOCK_QUERIES)
        is_query = queries < end
        group_q, root_q, leaf_q, place_q = _load_places(
            root_index, leaf_slot, groups, queries, is_query
        )
        group_q = tl.where(group_q < 0, -2, group_q)
        at_query = queries.to(tl.int64)[:, None] * token_size + columns[None, :]
        at_out = queries.to(tl.int64)[:, None] * width + columns[None, :]
        q = tl.load(query_key_value + at_query, mask=is_query[:, None], other=0.0)
        o = tl.load(out + at_out, mask=is_query[:, None], other=0.0)
        do = tl.load(out_gradient + at_out, mask=is_query[:, None], other=0.0)
        at_sum = head.to(tl.int64) * num_tokens + queries
        log_sum = tl.load(log_sums + at_sum, mask=is_query, other=float("inf"))
        offset = tl.sum(o.to(tl.float32) * do.to(tl.float32), 1)
        tl.store(offsets + at_sum, offset, mask=is_query)
        dq = tl.zeros([BLOCK_QUERIES, head_size], tl.float32)
        for first_key in range(start, end, BLOCK_KEYS):
            keys = first_key + tl.arange(0, BLOCK_KEYS)
            is_key = keys < end
            group_k, root_k, leaf_k, place_k = _load_places(
                root_index, leaf_slot, groups, keys, is_key
            )
            at_key = query_key_value + keys.to(tl.int64)[:, None] * token_size + columns[None, :]
            k = tl.load(at_key + width, mask=is_key[:, None], other=0.0)
            v = tl.load(at_key + 2 * width, mask=is_key[:, None], other=0.0)
            distances = _distances(root_q, leaf_q, place_q, root_k, leaf_k, place_k)
            entries = _look_up(table, distances, PRECISION)
            products = _dot(q, tl.trans(k), PRECISION)
            is_seen = group_q[:, None] == group_k[None, :]
            scores = _scores(products, entries, scale, IS_ADDED)
            scores = tl.where(is_seen, scores, float("-inf"))
            weights = tl.exp2(scores - log_sum[:, None])
            dweights = _dot(do, tl.trans(v), PRECISION)
            dscores = weights * (dweights - offset[:, None])
            if IS_P_LEARNT:
                slopes = _look_up(slope_table, distances, PRECISION)
                p_rows += tl.sum(dscores * (slopes if IS_ADDED else products * slopes), 1)
            dproducts = dscores * (scale if IS_ADDED else entries)
            dq += _dot(dproducts.to(k.dtype), k, PRECISION)
        dq *= LN_2  # since the table is for powers of two
        tl.store(gradient + at_query, dq.to(gradient.dtype.element_ty), mask=is_query[:, None])
    if IS_P_LEARNT:
        tl.store(p_gradients + tl.program_id(0), tl.sum(p_rows, 0))


@triton.jit
def key_value_gradient(
    query_key_value,
    decay,
    starts,
    groups,
    root_index,
    leaf_slot,
    log_sums,
    out_gradient,
    offsets,
    gradient,
    num_tokens,
    num_distances,
    scale,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    IS_ADDED: tl.constexpr,
    BLOCK_QUERIES: tl.constexpr,
    BLOCK_KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    head = tl.program_id(0) % num_heads
    start = tl.load(starts + tl.program_id(0) // num_heads)
    end = tl.load(starts + tl.program_id(0) // num_heads + 1)
    token_size: tl.constexpr = 3 * num_heads * head_size
    width: tl.constexpr = num_heads * head_size
    columns = head * head_size + tl.arange(0, head_size)
    table = decay + head * num_distances
    for first_key in range(start, end, BLOCK_KEYS):
        keys = first_key + tl.arange(0, BLOCK_KEYS)
        is_key = keys < end
        group_k, root_k, leaf_k, place_k = _load_places(root_index, leaf_slot, groups, keys, is_key)
        at_key = keys.to(tl.int64)[:, None] * token_size + columns[None, :]
        k = tl.load(query_key_value + at_key + width, mask=is_key[:, None], other=0.0)
        v = tl.load(query_key_value + at_key + 2 * width, mask=is_key[:, None], other=0.0)
        dk = tl.zeros([BLOCK_KEYS, head_size], tl.float32)
        dv = tl.zeros([BLOCK_KEYS, head_size], tl.float32)
        for first_query in range(start, end, BLOCK_QUERIES):
            queries = first_query + tl.arange(0, BLOCK_QUERIES)
            is_query = queries < end
            group_q, root_q, leaf_q, place_q = _load_places(
                root_index, leaf_slot, groups, queries, is_query
            )
            group_q = tl.where(group_q < 0, -2, group_q)
            at_query = queries.to(tl.int64)[:, None] * token_size + columns[None, :]
            at_out = queries.to(tl.int64)[:, None] * width + columns[None, :]
            q = tl.load(query_key_value + at_query, mask=is_query[:, None], other=0.0)
            do = tl.load(out_gradient + at_out, mask=is_query[:, None], other=0.0)
            at_sum = head.to(tl.int64) * num_tokens + queries
            log_sum = tl.load(log_sums + at_sum, mask=is_query, other=float("inf"))
            offset = tl.load(offsets + at_sum, mask=is_query, other=0.0)
            # All transposed, (keys, queries): the left operand of a product stays in registers.
            distances = _distances(root_k, leaf_k, place_k, root_q, leaf_q, place_q)
            entries = _look_up(table, distances, PRECISION)
            scores = _scores(_dot(k, tl.trans(q), PRECISION), entries, scale, IS_ADDED)
            is_seen = group_k[:, None] == group_q[None, :]
            scores = tl.where(is_seen, scores, float("-inf"))
            weights = tl.exp2(scores - log_sum[None, :])
            dv += _dot(weights.to(do.dtype), do, PRECISION)
            dweights = _dot(v, tl.trans(do), PRECISION)
            dscores = weights * (dweights - offset[None, :])
            dproducts = dscores * (scale if IS_ADDED else entries)
            dk += _dot(dproducts.to(q.dtype), q, PRECISION)
        dk *= LN_2
        at_gradient = gradient + at_key
        tl.store(at_gradient + width, dk.to(gradient.dtype.element_ty), mask=is_key[:, None])
        tl.store(at_gradient + 2 * width, dv.to(gradient.dtype.element_ty), mask=is_key[:, None])
