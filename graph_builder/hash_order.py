"""The order that says nothing of relations, compiled.

In plain Python it is `in_hash_order` of tests/graph_builder/slow_knowledge.py. An `order` holds
indexes into an array of KEY records; its first `num` are sorted in place.
"""

import zlib
from typing import Final

import numpy as np

from graph_builder.compiled import borrowing, inner
from graph_builder.link_tables import Array, Number

# What one byte does to a CRC-32, out of the CRC-32 of single bytes.
_CRC_TABLE: Final = np.array(
    [zlib.crc32(bytes([255 - byte])) ^ 0xFF000000 for byte in range(256)], dtype=np.int64
)
_ALL_BITS: Final = 0xFFFFFFFF
NO_SALT: Final = zlib.crc32(b"0\0")  # for the orders that are the same in every window
_INDEX_BITS: Final = 31


@inner
def sort_by_hash(
    keys: Array, order: Array, num: int, salt: int, names: Array, name_bytes: Array
) -> None:
    """Sort by the hash of (head, tail), then by head, tail and relation."""
    if num < 2:
        return
    hashes = np.empty(num, dtype=np.int64)
    for at in range(num):
        key = keys[order[at]]
        hashed = pair_hash(names, name_bytes, key.head, key.tail, salt)
        hashes[at] = (hashed << _INDEX_BITS) | at
    hashes.sort()
    before = order[:num].copy()
    for at in range(num):
        order[at] = before[hashes[at] & ((1 << _INDEX_BITS) - 1)]
    first = 0
    while first < num:
        end = first + 1
        while end < num and hashes[end] >> _INDEX_BITS == hashes[first] >> _INDEX_BITS:
            end += 1
        for at in range(first + 1, end):
            item, to = order[at], at
            while to > first and _is_before(keys, item, order[to - 1], names, name_bytes):
                order[to] = order[to - 1]
                to -= 1
            order[to] = item
        first = end


@borrowing
def keep_last_of_equals(keys: Array, order: Array, num: int) -> int:
    """Drop from a sorted order all but the last of equal keys; return how many are left."""
    left = 0
    for at in range(num):
        if left > 0 and is_equal(keys[order[left - 1]], keys[order[at]]):
            left -= 1
        order[left] = order[at]
        left += 1
    return left


@inner
def turn_equal_pairs(
    keys: Array, order: Array, num: int, salt: int, names: Array, name_bytes: Array
) -> None:
    """Turn each run of equal head and tail in a sorted order by a number that a hash draws."""
    first = 0
    while first < num:
        key = keys[order[first]]
        end = first + 1
        while end < num and _is_pair(keys[order[end]], key):
            end += 1
        if end - first > 1:
            turn = pair_hash(names, name_bytes, key.tail, key.head, salt) % (end - first)
            before = order[first:end].copy()
            for at in range(end - first):
                order[first + at] = before[(at + turn) % (end - first)]
        first = end


@borrowing
def is_equal(one: Array, other: Array) -> bool:
    return _is_pair(one, other) and one.relation == other.relation


@borrowing
def _is_pair(one: Array, other: Array) -> bool:
    return one.head == other.head and one.tail == other.tail


@borrowing
def pair_hash(names: Array, name_bytes: Array, first: int, second: int, salt: int) -> int:
    """Return the CRC-32 of what `salt` is the CRC-32 of, a name, a NUL and another name."""
    crc = np.int64(salt) ^ _ALL_BITS
    for at in range(names[first].first_byte, names[first].end_byte):
        crc = _CRC_TABLE[(crc ^ name_bytes[at]) & 255] ^ (crc >> 8)
    crc = _CRC_TABLE[crc & 255] ^ (crc >> 8)
    for at in range(names[second].first_byte, names[second].end_byte):
        crc = _CRC_TABLE[(crc ^ name_bytes[at]) & 255] ^ (crc >> 8)
    return crc ^ _ALL_BITS


@borrowing
def _is_before(keys: Array, one: int, other: int, names: Array, name_bytes: Array) -> bool:
    """Tell whether one of two triples with equal hashes comes before the other."""
    order = _compare(names, name_bytes, keys[one].head, keys[other].head)
    if order == 0:
        order = _compare(names, name_bytes, keys[one].tail, keys[other].tail)
    return order < 0 or (order == 0 and keys[one].relation < keys[other].relation)


@borrowing
def _compare(names: Array, name_bytes: Array, one: int, other: int) -> Number:
    """Compare two names as Python does: by their characters, which UTF-8 keeps in order."""
    if one == other:
        return 0
    length = names[one].end_byte - names[one].first_byte
    other_length = names[other].end_byte - names[other].first_byte
    for at in range(min(length, other_length)):
        byte = np.int64(name_bytes[names[one].first_byte + at])
        other_byte = np.int64(name_bytes[names[other].first_byte + at])
        if byte != other_byte:
            return byte - other_byte
    return length - other_length
