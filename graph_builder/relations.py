"""The twelve relations between code entities: their ids, which are append-only, and names.

The exact rules are in docs/relations.md.
"""

from typing import Final

RELATION_NAMES: Final[tuple[str, ...]] = (
    "calls",
    "declares",
    "instantiates",
    "contains",
    "has_type",
    "has_field",
    "inherits",
    "has_parameter",
    "returns",
    "imported_from",
    "imports",
    "flows_to",
)
NUM_RELATIONS: Final = len(RELATION_NAMES)

(
    CALLS,
    DECLARES,
    INSTANTIATES,
    CONTAINS,
    HAS_TYPE,
    HAS_FIELD,
    INHERITS,
    HAS_PARAMETER,
    RETURNS,
    IMPORTED_FROM,
    IMPORTS,
    FLOWS_TO,
) = range(NUM_RELATIONS)
