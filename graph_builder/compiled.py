"""Compiled functions: numba compiles them on first use, and later processes load machine code.

Code and machine code belong together by a hash over all modules that take part: numba alone looks
at the one that it compiles, and would keep what another one of them no longer says.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from numba import config, njit

from graph_builder.cache_dir import default_cache_dir

_MODULES: Final = (
    "hash_order",
    "knowledge",
    "link_kernel",
    "link_tables",
    "merge_kernel",
    "names",
    "record_kernel",
    "shingle_filter",
    "text_kernel",
    "text_numbers",
    "word_table",
)

# Compiles functions that only compiled functions call: without a way in from Python, which takes
# longer to compile than most of them.
inner: Final = njit(  # type: ignore[call-overload]  # options that its types leave out
    no_cpython_wrapper=True, no_cfunc_wrapper=True
)

# The same, for functions that neither make arrays nor get new ones from what they call: references
# to the arrays that they are given are not counted, which takes longer than what most of them do
# (numba refuses to make an array in one; an array that another function made would never be freed).
borrowing: Final = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)


def kept(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, and keep its machine code in the cache folder."""
    before = vars(config)["CACHE_DIR"]
    vars(config)["CACHE_DIR"] = str(default_cache_dir() / "compiled" / _code_sha256()[:16])
    try:
        return njit(cache=True)(function)
    finally:
        vars(config)["CACHE_DIR"] = before


def _code_sha256() -> str:
    files = [Path(__file__).with_name(f"{module}.py") for module in _MODULES]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
