"""Which parameter each argument of a call binds to."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graph_builder.entities import Argument, Parameter, Signature
from graph_builder.extract_calls import SPREAD
from graph_builder.extract_definitions import (
    KEYWORD_ONLY,
    ORDINARY,
    POSITIONAL_ONLY,
    RECEIVER,
    VAR_ARGS,
    VAR_KEYWORDS,
)


class Slots(NamedTuple):
    """The parameters of a function by what binds to them in one kind of call."""

    positional: list[Parameter]
    named: dict[str, Parameter]
    rest: dict[str, Parameter]  # by their kind


def slots_of(signature: Signature, is_bound: bool) -> Slots:
    """Return the slots of calls; `is_bound`: the receiver is there already."""
    places = (RECEIVER, POSITIONAL_ONLY, ORDINARY)[is_bound:]
    parameters = signature.parameters
    return Slots(
        [each for each in parameters if each.kind in places],
        {each.name: each for each in parameters if each.kind in (ORDINARY, KEYWORD_ONLY)},
        {each.kind: each for each in parameters},
    )


def passed_to(arguments: Sequence[Argument], slots: Slots) -> Iterator[tuple[Argument, Parameter]]:
    """Yield each argument with its parameter."""
    positional, named, rest = slots
    for argument in arguments:
        slot = argument.slot
        if isinstance(slot, str):
            parameter = named.get(slot) or rest.get(VAR_KEYWORDS)
        elif slot == SPREAD or slot >= len(positional):
            parameter = rest.get(VAR_ARGS)
        else:
            parameter = positional[slot]
        if parameter is not None and parameter.kind != RECEIVER:
            yield argument, parameter
