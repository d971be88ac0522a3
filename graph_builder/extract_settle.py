"""What a walked file says once all its scopes are known: names settled, offsets of the file."""

from collections.abc import Callable
from typing import Final

from graph_builder.entities import (
    Argument,
    CallSite,
    Definition,
    FileFacts,
    Parameter,
    Signature,
    Triple,
    Use,
)
from graph_builder.extract_bindings import VALUES, Bound, Span, join
from graph_builder.extract_calls import BUILTIN_TYPES, UNKNOWN_SLOT, is_capwords
from graph_builder.extract_walk import NameUse, PendingCall, Walk
from graph_builder.relations import CALLS, FLOWS_TO, INSTANTIATES

STARS: Final = "*:"  # targets that a star import may provide


def settle(walk: Walk, path: str, num_syntax_errors: int, move: Callable[[int], int]) -> FileFacts:
    """Settle the names of a walked file; `move` maps its UTF-8 offsets to the file's."""
    calls = _settle_calls(walk, move)
    _settle_flows(walk)
    return FileFacts(
        path=path,
        module=walk.module,
        definitions=tuple(Definition(*row[:4], *map(move, row[4:])) for row in walk.definitions),
        num_syntax_errors=num_syntax_errors,
        triples=tuple(_moved(row, move) for row in walk.triples),
        statements=tuple(walk.statements),
        calls=tuple(calls),
        uses=tuple(_settle_uses(walk, move)),
        signatures=tuple(_signature(row, move) for row in walk.signatures),
        bases=tuple(
            (index, target)
            for index, base in walk.bases
            if (target := _target(walk, base)) is not None
        ),
        names=tuple(walk.root.definitions.items()),
        members=tuple(walk.members),
        variables=tuple(_variables(walk)),
        imports=tuple((name, tuple(targets)) for name, targets in walk.root.imports.items()),
        star_imports=tuple(walk.star_imports),
    )


def _target(walk: Walk, used: NameUse) -> str | None:
    """Return where a dotted name may lead; None: nowhere in a repository."""
    base, _, path = used.name.partition(".")
    prefix = used.scope.prefix(base)
    if prefix is None:
        is_unknown = walk.star_imports and used.scope.settled(base) is None
        return f"{STARS}{used.name}" if is_unknown else None
    found = used.scope.settled(base)
    if found is not None and found.names[base] == Bound.RECEIVER:
        if not path:
            return None
        path = path.removeprefix("__class__.")
    return join(prefix, path)


def _settle_calls(walk: Walk, move: Callable[[int], int]) -> list[CallSite]:
    """Return the calls that other files may have a say in; state the rest."""
    sites: list[CallSite] = []
    for call in walk.calls:
        target = call.target
        if target is None and call.is_full:
            target = _target(walk, NameUse(call.scope, call.name, call.start, call.end))
        if not target:
            relation, is_guess = _local_relation(call)
            _state_call(walk, call, relation, is_guess)
            continue
        head = call.scope.head
        passed = (_argument(walk, slot, used, move) for slot, used in call.arguments)
        sites.append(
            CallSite(
                head[0],
                move(head[1]),
                move(head[2]),
                call.name,
                move(call.start),
                move(call.end),
                target,
                tuple(argument for argument in passed if argument is not None),
            )
        )
    return sites


def _state_call(walk: Walk, call: PendingCall, relation: int, is_guess: bool) -> None:
    head = call.scope.head
    span = (call.start, call.end, call.start)
    walk.triples.append((head[0], relation, call.name, head[1], head[2], *span, is_guess))


def _local_relation(call: PendingCall) -> tuple[int, bool]:
    """Return the relation of a call that no other file has a say in, and if it is a guess."""
    if call.target == "":
        return CALLS, False
    if call.is_full and "." not in call.name:
        if call.scope.settled(call.name) is not None:
            return CALLS, False
        if call.name in BUILTIN_TYPES:
            return INSTANTIATES, False
    is_class = is_capwords(call.name)
    return (INSTANTIATES if is_class else CALLS), is_class


def _argument(
    walk: Walk, slot: int | str, used: NameUse, move: Callable[[int], int]
) -> Argument | None:
    if slot == UNKNOWN_SLOT or used.name.count(".") > 1:
        return None
    source = _source(walk, used)
    if source is None or source[0] != used.name:
        return None
    return Argument(slot, source[0], move(source[1]), move(source[2]))


def _source(walk: Walk, used: NameUse) -> Span | None:
    """Return what flows from a use: the base name, or `receiver.x`; None: nothing."""
    base, _, path = used.name.partition(".")
    found = used.scope.settled(base)
    if found is None:
        return None
    bound = found.names[base]
    if bound in VALUES:
        return base, used.start, walk.part_end(used, 1)
    if bound != Bound.RECEIVER or not path:
        return None
    member = path.partition(".")[0]
    return f"{base}.{member}", used.start, walk.part_end(used, 2)


def _settle_flows(walk: Walk) -> None:
    for used, targets in walk.flows:
        for each in used:
            source = _source(walk, each)
            if source is None:
                continue
            for target in targets:
                if source[0] != target[0]:
                    walk.state(FLOWS_TO, source, target, source[1])


def _settle_uses(walk: Walk, move: Callable[[int], int]) -> list[Use]:
    found = [
        Use(move(start), move(end), name, target) for start, end, name, target in walk.import_uses
    ]
    for used in walk.uses:
        target = _target(walk, used)
        if target is not None:
            found.append(Use(move(used.start), move(used.end), used.name, target))
    return found


def _variables(walk: Walk) -> list[tuple[str, str]]:
    """Return the module-level variables, each with what it is another name of."""
    found: list[tuple[str, str]] = []
    for name, bound in walk.root.names.items():
        if bound != Bound.VARIABLE:
            continue
        alias = walk.aliases.get(name, "")
        target = _target(walk, alias) if isinstance(alias, NameUse) else alias
        found.append((name, target or ""))
    return found


def _signature(
    row: tuple[int, list[Parameter], bool, bool, bool], move: Callable[[int], int]
) -> Signature:
    index, parameters, *flags = row
    return Signature(
        index,
        tuple(each._replace(start=move(each.start), end=move(each.end)) for each in parameters),
        *flags,
    )


def _moved(row: tuple, move: Callable[[int], int]) -> Triple:
    return Triple._make((*row[:3], *map(move, row[3:8]), row[8]))
