"""From offsets of a file's UTF-8 text to the file as it is: byte order marks, encodings."""

from collections.abc import Callable
from dataclasses import replace

from graph_builder.entities import NO_SPAN, FileFacts
from graph_builder.source_text import SourceText

Move = Callable[[int], int]


def in_file(facts: FileFacts, source: SourceText) -> FileFacts:
    """Return `facts`, whose offsets count UTF-8 bytes, with offsets of the file's own bytes."""
    shift = source.utf8_shift
    if shift == 0:
        return facts
    if shift is not None:
        return _moved(facts, lambda offset: NO_SPAN if offset == NO_SPAN else offset + shift)
    table = source.file_offsets(range(len(source.utf8) + 1)).tolist()
    return _moved(facts, lambda offset: NO_SPAN if offset == NO_SPAN else table[offset])


def _moved(facts: FileFacts, move: Move) -> FileFacts:
    return replace(
        facts,
        definitions=tuple(
            each._replace(
                start=move(each.start),
                end=move(each.end),
                name_start=move(each.name_start),
                name_end=move(each.name_end),
            )
            for each in facts.definitions
        ),
        triples=tuple(
            each._replace(
                head_start=move(each.head_start),
                head_end=move(each.head_end),
                tail_start=move(each.tail_start),
                tail_end=move(each.tail_end),
                site=move(each.site),
            )
            for each in facts.triples
        ),
        calls=tuple(
            each._replace(
                head_start=move(each.head_start),
                head_end=move(each.head_end),
                start=move(each.start),
                end=move(each.end),
                arguments=tuple(
                    argument._replace(start=move(argument.start), end=move(argument.end))
                    for argument in each.arguments
                ),
            )
            for each in facts.calls
        ),
        uses=tuple(
            each._replace(start=move(each.start), end=move(each.end)) for each in facts.uses
        ),
        signatures=tuple(
            each._replace(
                parameters=tuple(
                    parameter._replace(start=move(parameter.start), end=move(parameter.end))
                    for parameter in each.parameters
                )
            )
            for each in facts.signatures
        ),
    )
