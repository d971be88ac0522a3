"""Argument-to-parameter binding against Python's own: `inspect.Signature.bind`."""

import inspect

from hypothesis import given
from hypothesis import strategies as st

from graph_builder.argument_binding import passed_to, slots_of
from graph_builder.entities import Argument, Parameter, Signature

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional-only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "ordinary",
    inspect.Parameter.VAR_POSITIONAL: "*args",
    inspect.Parameter.KEYWORD_ONLY: "keyword-only",
    inspect.Parameter.VAR_KEYWORD: "**kwargs",
}
NAMES = "abcdefgh"


@st.composite
def signatures(draw: st.DrawFn) -> inspect.Signature:
    kinds = sorted(draw(st.lists(st.sampled_from(list(KINDS)), max_size=6)))
    single = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    kept = [kind for at, kind in enumerate(kinds) if kind not in single or kind not in kinds[:at]]
    return inspect.Signature(
        [inspect.Parameter(name, kind) for name, kind in zip(NAMES, kept, strict=False)]
    )


def bound_by_python(
    signature: inspect.Signature, positional: int, keywords: list[str]
) -> set[tuple[int | str, str]] | None:
    """Return (slot, parameter) pairs; None: Python refuses the call."""
    try:
        bound = signature.bind_partial(*range(positional), **{name: name for name in keywords})
    except TypeError:
        return None
    pairs: set[tuple[int | str, str]] = set()
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind == inspect.Parameter.VAR_POSITIONAL:
            pairs |= {(slot, name) for slot in value}
        elif kind == inspect.Parameter.VAR_KEYWORD:
            pairs |= {(slot, name) for slot in value.values()}
        else:
            pairs.add((value, name))
    return pairs


@given(
    signatures(),
    st.integers(0, 7),
    st.lists(st.sampled_from([*NAMES, "x", "y"]), unique=True, max_size=4),
    st.booleans(),
)
def test_arguments_bind_as_in_python(
    signature: inspect.Signature, positional: int, keywords: list[str], is_method: bool
) -> None:
    expected = bound_by_python(signature, positional, keywords)
    receiver = [Parameter("self", "receiver", 0, 0)] if is_method else []
    parameters = [
        Parameter(each.name, KINDS[each.kind], 0, 0) for each in signature.parameters.values()
    ]
    known = Signature(0, (*receiver, *parameters), is_method, False, False)
    arguments = [Argument(slot, "v", 0, 0) for slot in [*range(positional), *keywords]]
    found = {(each.slot, to.name) for each, to in passed_to(arguments, slots_of(known, is_method))}
    if expected is not None:
        assert found == expected
    unbound = passed_to([Argument(0, "v", 0, 0)], slots_of(known, is_bound=False))
    assert not is_method or list(unbound) == []
