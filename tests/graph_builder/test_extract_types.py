"""`has_type`, `returns` and `inherits`, clause by clause."""

from extracted_rows import triples_of
from relation_cases import Case, check, parametrized

HAS_TYPE = [
    Case(
        "parameters of every kind, the receiver too",
        "class A:\n    def f(self: S, a: int, /, b: str = 1, *c: t.X, d: D, **e: E): pass",
        "self -> S\na -> int\nb -> str\nc -> t.X\nd -> D\ne -> E",
    ),
    Case(
        "variables of modules and functions, with or without a value",
        "a: int\nb: str = 1\ndef f():\n    c: bytes",
        "a -> int\nb -> str\nc -> bytes",
    ),
    Case(
        "fields: receiver.x by its name, other attributes dotted",
        """
         class A:
             a: int
             def f(self, o):
                 self.b: str = 1
                 o.c: bytes = 1
                 self.d.e: float = 1
                 def g(): self.h: bool
         def f(self): self.i: int
         """,
        "a -> int\nb -> str\no.c -> bytes\nself.d.e -> float\nh -> bool\nself.i -> int",
    ),
    Case(
        "members of a union",
        "a: int | str | None\nb: Union[A, B, None]\nc: t.Union[A, 'B']\nd: (A | (B | C))",
        """
            a -> int
            a -> str
            a -> None
            b -> A
            b -> B
            b -> None
            c -> A
            c -> B
            d -> A
            d -> B
            d -> C
            """,
    ),
    Case(
        "members of a union with one base are still two",
        "a: list[int] | list[str]\nb: Optional[Optional[int]]",
        "a -> list\na -> list\nb -> int\nb -> None",
    ),
    Case(
        "Optional gives the type and None",
        "a: Optional[int]\nb: typing.Optional[List[str]]\nc: Optional[A | None]",
        "a -> int\na -> None\nb -> List\nb -> None\nc -> A\nc -> None",
    ),
    Case(
        "a generic gives its base",
        """
            a: List[int]
            b: t.Dict[str, 'A']
            c: Callable[[A], B]
            d: Literal['x', 1]
            e: tuple[int, ...]
            f: type[A]
            g: a.A[B][C]
            """,
        "a -> List\nb -> t.Dict\nc -> Callable\nd -> Literal\ne -> tuple\nf -> type\ng -> a.A",
        "a -> int\nb -> A\nc -> A",
    ),
    Case(
        "wrappers give the inner type",
        """
         a: Annotated[int, "x", f()]
         b: ClassVar[str]
         c: Final[bytes] = 1
         d: Required[A]
         e: t.NotRequired[B]
         f: ReadOnly[C]
         g: InitVar[D]
         h: ClassVar[Optional["E"]]
         def k(*args: Unpack[F], **kwargs: Unpack[G]): pass
         def l(*args: *H): pass
         def n(*args: *tuple[int, str]): pass
         """,
        """
            a -> int
            b -> str
            c -> bytes
            d -> A
            e -> B
            f -> C
            g -> D
            h -> E
            h -> None
            args -> F
            kwargs -> G
            args -> H
            args -> tuple
            """,
        "a -> Annotated\nb -> ClassVar",
    ),
    Case(
        "bare Final and ClassVar are no types",
        "a: Final = 1\nb: ClassVar = 1\nc: typing.Final = 2\nd: 'Final' = 3",
        "",
    ),
    Case(
        "strings are parsed, also inside others",
        """
         a: "A"
         b: "a.B | None"
         c: Optional["C[int]"]
         d: "Optional['D']"
         e: Union["E", "list[F]"]
         f: r"G"
         g: " H "
         h: '''(
            I |
            J)'''
         """,
        """
            a -> A
            b -> a.B
            b -> None
            c -> C
            c -> None
            d -> D
            d -> None
            e -> E
            e -> list
            f -> G
            g -> H
            h -> I
            h -> J
            """,
    ),
    Case(
        "strings with escapes are read as written",
        r"""a: "Literal['\\n', '\\r']" """,
        "a -> Literal",
    ),
    Case("strings that are no types", "a: 'not a type'\nb: f'{x}'\nc: b'A'\nd: ''", ""),
    Case(
        "names of typing under another name",
        """
            from typing import Optional as O, Union as U, ClassVar as C
            a: O[A]
            b: U[B, D]
            c: C
            d: C[E]
            """,
        "a -> A\na -> None\nb -> B\nb -> D\nd -> E",
    ),
    Case("subscript targets have none", "a[0]: int = 1\na.b[0]: str = 1", ""),
    Case("what is no type", "a: 3\nb: f()\nc: [int]\nd: ...\ne: lambda: A\ng: A + B", ""),
    Case("None by itself", "a: None\ndef f(b: None = None): pass", "a -> None\nb -> None"),
    Case(
        "type parameters and aliases",
        "def f[T: int](a: T) -> T: pass\ntype X = int | str",
        "a -> T",
    ),
]

RETURNS = [
    Case(
        "the annotation, split like has_type",
        """
            def a() -> int: pass
            def b() -> A | None: pass
            def c() -> Optional['B']: pass
            def d() -> None: pass
            async def e() -> t.List[int]: pass
            class C:
                def f(self) -> 'C': pass
            """,
        "a -> int\nb -> A\nb -> None\nc -> B\nc -> None\nd -> None\ne -> t.List\nf -> C",
    ),
    Case("functions without annotation", "def a(): return 1\nlambda: 1", ""),
    Case("over several lines", "def f() -> (\n    A |\n    B\n): pass", "f -> A\nf -> B"),
]

INHERITS = [
    Case("positional bases, dotted as written", "class A(B, c.D): pass", "A -> B\nA -> c.D"),
    Case(
        "a subscript or call gives its base",
        """
            class A(Generic[T], c.D[int, str]): pass
            class B(namedtuple('B', 'x')): pass
            class C(f(M, D)): pass
            class E(a.b(x)[0]): pass
            """,
        "A -> Generic\nA -> c.D\nB -> namedtuple\nC -> f\nE -> a.b",
    ),
    Case(
        "keywords and splats are none",
        "class A(B, metaclass=M, **kw): pass\nclass C(*bases): pass",
        "A -> B",
    ),
    Case("no bases", "class A: pass\nclass B(): pass\nclass C[T]: pass", ""),
    Case("what names nothing", "class A((lambda: B)()): pass\nclass C(x if y else z): pass", ""),
    Case("generic classes", "class A[T](B[T]): pass", "A -> B"),
]


@parametrized(HAS_TYPE)
def test_has_type(case: Case) -> None:
    check("has_type", case)


@parametrized(RETURNS)
def test_returns(case: Case) -> None:
    check("returns", case)


@parametrized(INHERITS)
def test_inherits(case: Case) -> None:
    check("inherits", case)


def test_spans_inside_strings_and_of_the_none_of_optional() -> None:
    code = "x: Optional['a.B'] = 1\ny: \"C | None\""
    spans = [
        (each.tail, each.tail_start, each.tail_end)
        for each in triples_of(code)
        if each.relation == 4
    ]
    assert spans == [
        ("None", -1, -1),
        ("a.B", code.index("a.B"), code.index("a.B") + 3),
        ("C", code.index("C |"), code.index("C |") + 1),
        ("None", code.rindex("None"), code.rindex("None") + 4),
    ]


def test_field_head_covers_its_name_only() -> None:
    code = "class A:\n    def f(self):\n        self.xyz: int = 1"
    [typed] = [each for each in triples_of(code) if each.relation == 4]
    assert code[typed.head_start : typed.head_end] == "xyz"
