"""An independent reading of the syntactic relations with Python's own `ast`.

Slow and plain on purpose: it shares no code with the extractor. A row is (head, relation, tail,
line); the relation `callee` stands for `calls` and `instantiates` together. Lines are None inside
f-strings, whose positions `ast` gets wrong before Python 3.12.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

Row = tuple[str, str, str, int | None]
WRAPPERS = ("Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly")
WRAPPERS += ("InitVar", "Unpack")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Place:
    """Where some code is: its nearest scope, and what surrounds it."""

    kind: str  # "module", "class", "function"
    name: str
    names: set[str] = field(default_factory=set)  # bound here and stated
    silent: set[str] = field(default_factory=set)  # parameters and imports
    outside: dict[str, str] = field(default_factory=dict)  # declared "global" or "nonlocal"
    is_lambda: bool = False
    receivers: "dict[str, tuple[Place, bool]]" = field(default_factory=dict)  # bool: the class


class Oracle:
    def __init__(self, module: str, is_package: bool) -> None:
        self.module = module
        self.package = module.split(".") if is_package else module.split(".")[:-1]
        self.rows: Counter[Row] = Counter()
        self.root = Place("module", module)
        self.is_in_fstring = False

    def read(self, code: bytes) -> Counter[Row]:
        self.block(ast.parse(code).body, self.root)
        return self.rows

    def add(self, head: str, relation: str, tail: str, node: ast.AST) -> None:
        line = None if self.is_in_fstring else node.lineno
        self.rows[(head, relation, tail, line)] += 1

    def block(self, body: list[ast.stmt], place: Place) -> None:
        for statement in body:
            self.visit(statement, place)

    def visit(self, node: ast.AST, place: Place) -> None:
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            self.children(node, place)
        else:
            method(node, place)

    def children(self, node: ast.AST, place: Place) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, place)

    # Definitions

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: Place) -> None:
        self.add(place.name, "contains", node.name, node)
        for decorator in node.decorator_list:
            self.visit(decorator, place)
        names = [last_name(each) for each in node.decorator_list]
        is_method = place.kind == "class" and (
            "staticmethod" not in names or node.name == "__new__"
        )
        inner = Place("function", node.name, receivers=dict(place.receivers))
        self.parameters(node, place, inner, is_method)
        is_class = "classmethod" in names or node.name in CLASS_METHODS
        positional = [*node.args.posonlyargs, *node.args.args]
        if is_method and positional:
            inner.receivers[positional[0].arg] = place, is_class or positional[0].arg == "cls"
        if node.returns is not None:
            self.visit(node.returns, place)
            for tail in types(node.returns):
                self.add(node.name, "returns", tail, node)
        self.block(node.body, inner)

    visit_AsyncFunctionDef = visit_FunctionDef

    def parameters(self, node, place: Place, inner: Place, is_method: bool) -> None:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        others = [arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
        for at, each in enumerate([*positional, *filter(None, others)]):
            inner.silent.add(each.arg)
            inner.receivers.pop(each.arg, None)
            if not (is_method and at == 0 and positional):
                self.add(node.name, "has_parameter", each.arg, each)
            if each.annotation is not None:
                self.visit(each.annotation, place)
                for tail in types(each.annotation):
                    self.add(each.arg, "has_type", tail, each)
        for default in [*arguments.defaults, *filter(None, arguments.kw_defaults)]:
            self.visit(default, place)

    def visit_ClassDef(self, node: ast.ClassDef, place: Place) -> None:
        self.add(place.name, "contains", node.name, node)
        for each in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(each, place)
        for each in node.bases:
            base = each
            while isinstance(base, ast.Subscript | ast.Call):
                base = base.value if isinstance(base, ast.Subscript) else base.func
            name = dotted(base)
            if name:
                self.add(node.name, "inherits", name, first_part(base))
        self.block(node.body, Place("class", node.name))

    def visit_Lambda(self, node: ast.Lambda, place: Place) -> None:
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default, place)
        inner = Place(place.kind, place.name, is_lambda=True, receivers=dict(place.receivers))
        for each in ast.walk(node.args):
            inner.receivers.pop(getattr(each, "arg", None), None)
        self.visit(node.body, inner)

    def visit_JoinedStr(self, node: ast.JoinedStr, place: Place) -> None:
        before, self.is_in_fstring = self.is_in_fstring, True
        self.children(node, place)
        self.is_in_fstring = before

    # Imports

    def visit_Import(self, node: ast.Import, place: Place) -> None:
        for each in node.names:
            self.add(place.name, "imports", each.name, each)
            self.silence(each.asname or each.name.split(".")[0], place)

    def visit_ImportFrom(self, node: ast.ImportFrom, place: Place) -> None:
        module = "." * node.level + (node.module or "")
        if node.level and node.level <= len(self.package):
            kept = self.package[: len(self.package) - node.level + 1]
            module = ".".join([*kept, *([node.module] if node.module else [])])
        for each in node.names:
            if each.name == "*":
                self.add(place.name, "imports", module, node)
            else:
                self.add(each.name, "imported_from", module, each)
                self.silence(each.asname or each.name, place)

    def silence(self, name: str, place: Place) -> None:
        target = self.binder(name, place)
        if target is not None and name not in target.names:
            target.silent.add(name)

    # Bindings

    def binder(self, name: str, place: Place) -> Place | None:
        outside = place.outside.get(name)
        return place if outside is None else {"global": self.root, "nonlocal": None}[outside]

    def visit_Global(self, node: ast.Global, place: Place) -> None:
        if place is not self.root:
            place.outside.update(dict.fromkeys(node.names, "global"))

    def visit_Nonlocal(self, node: ast.Nonlocal, place: Place) -> None:
        place.outside.update(dict.fromkeys(node.names, "nonlocal"))

    def bind(self, target: ast.AST, place: Place) -> None:
        if isinstance(target, ast.Name):
            self.bind_name(target.id, target, place)
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self.bind(each, place)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, place)
        else:
            self.field(target, place)
            self.visit(target, place)

    def field(self, target: ast.AST, place: Place) -> None:
        """Note `receiver.x` as a target with a value."""
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            owner, _ = place.receivers.get(target.value.id, (None, False))
            if owner is not None and target.attr not in {"__slots__", *owner.names}:
                owner.names.add(target.attr)
                self.add(owner.name, "has_field", target.attr, first_part(target))

    def bind_name(self, name: str, node: ast.AST, place: Place) -> None:
        target = self.binder(name, place)
        if target is None or target.is_lambda or name in target.silent | target.names:
            return
        if target.kind == "class" and name == "__slots__":
            return
        target.names.add(name)
        relation = "has_field" if target.kind == "class" else "declares"
        self.add(target.name, relation, name, node)

    def visit_Assign(self, node: ast.Assign, place: Place) -> None:
        self.visit(node.value, place)
        for target in node.targets:
            self.bind(target, place)
            self.slots(target, node.value, place)

    def visit_AugAssign(self, node: ast.AugAssign, place: Place) -> None:
        self.visit(node.value, place)
        if isinstance(node.target, ast.Attribute):
            self.visit(node.target, place)
        else:
            self.bind(node.target, place)
        self.slots(node.target, node.value, place)

    def slots(self, target: ast.AST, value: ast.AST | None, place: Place) -> None:
        if place.kind != "class" or not isinstance(target, ast.Name) or target.id != "__slots__":
            return
        entries = [value]
        if isinstance(value, ast.Tuple | ast.List | ast.Set):
            entries = list(value.elts)
        elif isinstance(value, ast.Dict):
            entries = list(value.keys)
        for each in entries:
            name = each.value if isinstance(each, ast.Constant) else None
            if isinstance(name, str) and name.isidentifier() and name not in place.names:
                place.names.add(name)
                self.add(place.name, "has_field", name, each)

    def visit_AnnAssign(self, node: ast.AnnAssign, place: Place) -> None:
        self.visit(node.annotation, place)
        head = dotted(node.target)
        if head.partition(".")[0] in place.receivers and head.count(".") == 1:
            head = head.partition(".")[2]
        if head and not isinstance(node.target, ast.Subscript):
            for tail in types(node.annotation):
                self.add(head, "has_type", tail, node.target)
        if node.value is not None:
            self.visit(node.value, place)
        if isinstance(node.target, ast.Name) or node.value is not None:
            self.bind(node.target, place)
        self.slots(node.target, node.value, place)

    def visit_For(self, node: ast.For | ast.AsyncFor, place: Place) -> None:
        self.visit(node.iter, place)
        self.bind(node.target, place)
        self.block(node.body + node.orelse, place)

    visit_AsyncFor = visit_For

    def visit_withitem(self, node: ast.withitem, place: Place) -> None:
        self.visit(node.context_expr, place)
        if node.optional_vars is not None:
            self.bind(node.optional_vars, place)

    def visit_ExceptHandler(self, node: ast.ExceptHandler, place: Place) -> None:
        if node.type is not None:
            self.visit(node.type, place)
        if node.name:
            self.bind_name(node.name, node.type, place)
        self.block(node.body, place)

    def visit_NamedExpr(self, node: ast.NamedExpr, place: Place) -> None:
        self.visit(node.value, place)
        self.bind(node.target, place)

    def comprehension(self, node: ast.AST, place: Place) -> None:
        for clause in node.generators:
            self.visit(clause.iter, place)
            if not isinstance(clause.target, ast.Name | ast.Tuple | ast.List):
                self.visit(clause.target, place)
            for test in clause.ifs:
                self.visit(test, place)
        for name in ("elt", "key", "value"):
            if hasattr(node, name):
                self.visit(getattr(node, name), place)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    def pattern(self, node: ast.AST, place: Place) -> None:
        self.children(node, place)
        if getattr(node, "name", None):
            self.bind_name(node.name, node, place)
        if getattr(node, "rest", None):
            self.bind_name(node.rest, node, place)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = pattern

    # Calls

    def visit_Call(self, node: ast.Call, place: Place) -> None:
        made = self.made(node.func, place)
        name = dotted(node.func)
        if made is not None:
            self.add(place.name, "callee", made, node.func)
            for each in [*node.args, *node.keywords]:
                self.visit(each, place)
            return
        if name:
            self.add(place.name, "callee", name, first_part(node.func))
        self.children(node, place)

    def made(self, callee: ast.AST, place: Place) -> str | None:
        """Return the class that `cls()`, `self.__class__()` or `type(self)()` makes one of."""
        wants_class = isinstance(callee, ast.Name)
        if isinstance(callee, ast.Call) and last_name(callee) == "type":
            is_single = len(callee.args) == 1 and not callee.keywords
            callee = callee.args[0] if is_single else callee
        elif isinstance(callee, ast.Attribute) and callee.attr == "__class__":
            callee = callee.value
        if not isinstance(callee, ast.Name):
            return None
        owner, is_class = place.receivers.get(callee.id, (None, False))
        return owner.name if owner is not None and is_class == wants_class else None


CLASS_METHODS = ("__new__", "__init_subclass__", "__class_getitem__")


@dataclass
class AtEnd:
    """Where a node ends, for names whose start `ast` does not tell."""

    lineno: int


def first_part(node: ast.AST) -> ast.AST | AtEnd:
    """Return where a dotted name, or the attribute part of anything else, starts."""
    while isinstance(node, ast.Attribute):
        if not isinstance(node.value, ast.Attribute | ast.Name):
            return AtEnd(node.end_lineno)
        node = node.value
    return node


def last_name(node: ast.AST) -> str:
    return dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def dotted(node: ast.AST) -> str:
    """Return a dotted name, or the attribute part of anything else; "": neither."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def types(node: ast.AST) -> set[str]:
    """Return the types that an annotation names."""
    return set(members(node))


def members(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            yield from members(ast.parse(f"({node.value})", mode="eval").body)
        except SyntaxError:
            return
    elif isinstance(node, ast.Constant) and node.value is None:
        yield "None"
    elif isinstance(node, ast.Name | ast.Attribute):
        if last_name(node) not in ("Final", "ClassVar"):
            yield dotted(node)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from members(node.left)
        yield from members(node.right)
    elif isinstance(node, ast.Starred):
        yield from members(node.value)
    elif isinstance(node, ast.Subscript):
        yield from subscripted(node)


def subscripted(node: ast.Subscript) -> Iterator[str]:
    base = last_name(node.value)
    is_tuple = isinstance(node.slice, ast.Tuple)
    arguments = list(node.slice.elts) if is_tuple else [node.slice]
    if base == "Union":
        for each in arguments:
            yield from members(each)
    elif base == "Optional" or base in WRAPPERS:
        yield from members(arguments[0])
        if base == "Optional":
            yield "None"
    else:
        yield from members(node.value)
