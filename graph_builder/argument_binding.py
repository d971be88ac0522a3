"""Which parameter each argument of a call binds to."""

from collections.abc import Iterator, Sequence

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


def passed_to(
    arguments: Sequence[Argument], signature: Signature, is_bound: bool
) -> Iterator[tuple[Argument, Parameter]]:
    """Yield each argument with its parameter; `is_bound`: the receiver is there already."""
    places = (RECEIVER, POSITIONAL_ONLY, ORDINARY)[is_bound:]
    positional = [each for each in signature.parameters if each.kind in places]
    named = {
        each.name: each for each in signature.parameters if each.kind in (ORDINARY, KEYWORD_ONLY)
    }
    rest = {each.kind: each for each in signature.parameters}
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
