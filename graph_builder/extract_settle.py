"""What a walked file says once all its scopes are known."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from graph_builder.entities import (
    Argument,
    CallSite,
    Definition,
    FileFacts,
    Signature,
    Statement,
    Triple,
    Use,
)
from graph_builder.extract_bindings import VALUES, Bound, Scope, Span, join
from graph_builder.extract_calls import BUILTIN_TYPES, UNKNOWN_SLOT, is_capwords
from graph_builder.extract_targets import OPAQUE_CLASS
from graph_builder.extract_walk import NameUse, Walk
from graph_builder.relations import CALLS, FLOWS_TO, INSTANTIATES

STARS: Final = "*:"  # targets that a star import may provide


def settle(walk: Walk, path: str, num_syntax_errors: int) -> FileFacts:
    """Settle the names of a walked file; offsets count bytes of its UTF-8 text."""
    calls = _settle_calls(walk)
    _settle_flows(walk)
    facts = FileFacts(
        path=path,
        module=walk.module,
        definitions=tuple(map(Definition._make, walk.definitions)),
        num_syntax_errors=num_syntax_errors,
        triples=tuple(map(partial(tuple.__new__, Triple), walk.triples)),
        statements=tuple(map(partial(tuple.__new__, Statement), walk.statements)),
        calls=tuple(map(partial(tuple.__new__, CallSite), calls)),
        uses=tuple(_settle_uses(walk)),
        signatures=tuple(map(Signature._make, walk.signatures)),
        bases=tuple(
            (index, target)
            for index, (scope, name, _, _) in walk.bases
            if (target := _target(walk, scope, name)) is not None
        ),
        class_uses=tuple(_class_uses(walk)),
        names=tuple(walk.root.definitions.items()),
        members=tuple(walk.members),
        variables=tuple(_variables(walk)),
        imports=tuple((name, tuple(targets)) for name, targets in walk.root.imports.items()),
        star_imports=tuple(walk.star_imports),
    )
    for scope in walk.scopes:
        scope.forget()
    return facts


def _target(walk: Walk, scope: Scope, name: str) -> str | None:
    """Return where a dotted name used in `scope` may lead; None: nowhere in a repository."""
    try:
        return scope.targets[name]
    except KeyError:
        target = scope.targets[name] = _find_target(walk, scope, name)
        return target


def _find_target(walk: Walk, scope: Scope, name: str) -> str | None:
    base, _, path = name.partition(".")
    found = scope.settled(base)
    if found is None:
        return f"{STARS}{name}" if walk.star_imports else None
    prefix = scope.prefix(base)
    if prefix is None:
        return None
    if found.names[base] == Bound.RECEIVER:
        if not path:
            return None
        path = path.removeprefix("__class__.")
    return join(prefix, path)


def _settle_calls(walk: Walk) -> list[tuple]:
    """Return the calls that other files may have a say in, as in CallSite; state the rest."""
    sites: list[tuple] = []
    for call in walk.calls:
        scope, name, start, end, is_full, passed, target = call
        if target is None and is_full:
            target = _target(walk, scope, name)
        head = scope.head
        if target:
            arguments = _arguments(walk, passed) if passed else ()
            sites.append((*head, name, start, end, target, arguments))
        else:
            relation, is_guess = _local_relation(scope, name, is_full, target)
            row = (head[0], relation, name, head[1], head[2], start, end, start, is_guess)
            walk.triples.append(row)
    return sites


def _local_relation(scope: Scope, name: str, is_full: bool, target: str | None) -> tuple[int, bool]:
    """Return the relation of a call that no other file has a say in, and if it is a guess."""
    if target == "":
        return CALLS, False
    if is_full and "." not in name:
        if scope.settled(name) is not None:
            return CALLS, False
        if name in BUILTIN_TYPES:
            return INSTANTIATES, False
    is_class = is_capwords(name)
    return (INSTANTIATES if is_class else CALLS), is_class


def _arguments(walk: Walk, passed: Sequence[tuple[int | str, NameUse]]) -> tuple[Argument, ...]:
    """Return what of a call's arguments flows as it is written."""
    found: list[Argument] = []
    for slot, used in passed:
        source = None if slot == UNKNOWN_SLOT else _source(walk, used)
        if source is not None and source[0] == used[1]:
            found.append(Argument(slot, *source))
    return tuple(found)


def _source(walk: Walk, used: NameUse) -> Span | None:
    """Return what flows from a use: the base name, or `receiver.x`; None: nothing."""
    scope, name, start, _ = used
    try:
        found = scope.sources[name]
    except KeyError:
        found = scope.sources[name] = _find_source(scope, name)
    if found is None:
        return None
    return found[0], start, walk.part_end(name, start, found[1])


def _find_source(scope: Scope, name: str) -> tuple[str, int] | None:
    """Return the part of a dotted name that flows, and of how many names it is."""
    base, _, path = name.partition(".")
    found = scope.settled(base)
    if found is None:
        return None
    bound = found.names[base]
    if bound in VALUES:
        return base, 1
    if bound != Bound.RECEIVER or not path:
        return None
    return f"{base}.{path.partition('.')[0]}", 2


def _settle_flows(walk: Walk) -> None:
    for used, targets in walk.flows:
        for each in used:
            source = _source(walk, each)
            if source is None:
                continue
            for target in targets:
                if source[0] != target[0]:
                    walk.state(FLOWS_TO, source, target, source[1])


def _settle_uses(walk: Walk) -> list[Use]:
    found: list[tuple[int, int, str, str]] = list(walk.import_uses)
    for scope, name, start, end in walk.uses:
        targets = scope.targets
        target = targets[name] if name in targets else _target(walk, scope, name)
        if target is not None:
            found.append((start, end, name, target))
    return list(map(partial(tuple.__new__, Use), found))


def _class_uses(walk: Walk) -> list[str]:
    """Return the targets of names that stand where only a class can, each once."""
    targets = {_target(walk, *used[:2]) for used in walk.class_uses}
    return sorted(target for target in targets if target)


def _variables(walk: Walk) -> list[tuple[str, str]]:
    """Return the module-level variables, each with what it is another name of."""
    return [
        (name, _meaning(walk, name))
        for name, bound in walk.root.names.items()
        if bound == Bound.VARIABLE
    ]


def _meaning(walk: Walk, name: str) -> str:
    """Return the target that a module-level variable is another name of; "": none is known."""
    alias = walk.aliases.get(name, "")
    if isinstance(alias, str):
        return alias
    scope, original = alias[:2]
    is_builtin = original == name or scope.settled(original) is None
    if is_builtin and original in BUILTIN_TYPES:
        return OPAQUE_CLASS
    return _target(walk, scope, original) or ""
