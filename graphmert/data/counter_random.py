"""Random numbers that are a function of what they are for, not of when they are drawn.

A 64-bit hash of (seed, epoch, stream, window id, position) stands in for a generator's state, so a
window's masks are the same on every rank and device and in every batch. The hash is the finalizer
of splitmix64 (Steele, Lea and Flood 2014); torch's int64 wraps around as its arithmetic needs.
"""

from torch import Tensor

MASK_64 = (1 << 64) - 1
INCREMENT = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)
UNIFORM_BITS = 24  # all that a float32 holds exactly


def window_keys(window_ids: Tensor, *parts: int) -> Tensor:
    """Return a key (W,) for each window: a hash of its id and `parts` (seed, epoch, stream)."""
    salt = 0
    for part in parts:
        salt = _mix_int((salt + INCREMENT + part) & MASK_64)
    return _mix(window_ids ^ _signed(salt))


def uniform(keys: Tensor, counters: Tensor) -> Tensor:
    """Return float32 numbers in [0, 1), one for each (key, counter)."""
    return (bits(keys, counters) & ((1 << UNIFORM_BITS) - 1)).float() * 2.0**-UNIFORM_BITS


def integers(keys: Tensor, counters: Tensor, low: int, high: int) -> Tensor:
    """Return int64 numbers in low .. high - 1, one for each (key, counter)."""
    return low + (bits(keys, counters) & ((1 << 62) - 1)) % (high - low)


def bits(keys: Tensor, counters: Tensor) -> Tensor:
    """Return 64 random bits as int64 for each (key, counter)."""
    return _mix(keys + (counters + 1) * _signed(INCREMENT))


def _mix(values: Tensor) -> Tensor:
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, None), strict=True):
        values = values ^ ((values >> shift) & ((1 << (64 - shift)) - 1))  # a logical shift
        if multiplier is not None:
            values = values * _signed(multiplier)
    return values


def _mix_int(value: int) -> int:
    """Do to a Python int what `_mix` does to a tensor."""
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, 1), strict=True):
        value = ((value ^ (value >> shift)) * multiplier) & MASK_64
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
