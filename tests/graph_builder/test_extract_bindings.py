"""`declares`, `contains`, `has_field` and `has_parameter`, clause by clause."""

from extracted_rows import triples_of
from relation_cases import Case, check, parametrized

DECLARES = [
    Case(
        "assignment, once for each name and scope",
        "a = 1\na = 2\ndef f():\n    a = 3\n    a = 4",
        "m -> a\nf -> a",
    ),
    Case(
        "tuples, lists, stars and chains",
        "a, (b, [c, *d]) = e = x\n(f) = [g] = y",
        "m -> a\nm -> b\nm -> c\nm -> d\nm -> e\nm -> f\nm -> g",
    ),
    Case(
        "annotated, with or without a value",
        "def f():\n    a: int\n    b: int = 1",
        "f -> a\nf -> b",
    ),
    Case("augmented", "def f():\n    n += 1", "f -> n"),
    Case(
        "for, with and except",
        """
         for a, b in x: pass
         with x as c, y as (d, e): pass
         with (x as f, y as g): pass
         try: pass
         except E as h: pass
         async def k():
             async for i in x: pass
             async with x as j: pass
         """,
        "m -> a\nm -> b\nm -> c\nm -> d\nm -> e\nm -> f\nm -> g\nm -> h\nk -> i\nk -> j",
    ),
    Case("except* too", "try: pass\nexcept* E as e: pass", "m -> e"),
    Case(
        "case captures and case as",
        """
         match x:
             case [a, *b] | {"k": a, **b}: pass
             case P(c, k=d) as e: pass
             case (f): pass
             case [_, *_]: pass
             case A.B | -1 | 1+2j | "s" | None: pass
             case str(g): pass
             case h, i: pass
         """,
        "m -> a\nm -> b\nm -> c\nm -> d\nm -> e\nm -> f\nm -> g\nm -> h\nm -> i",
        "m -> _\nm -> k\nm -> P\nm -> A",
    ),
    Case(
        "walrus, in a comprehension for the enclosing function",
        """
            def f():
                if (a := 1): pass
                [(b := x) for x in y if (c := x)]
            [d := 1 for _ in x]
            """,
        "f -> a\nf -> b\nf -> c\nm -> d",
    ),
    Case("not a walrus in a lambda", "lambda: (a := 1)\nlambda: [b := 1 for _ in x]", ""),
    Case("type X = ...", "type A = int\ndef f():\n    type B[T] = T", "m -> A\nf -> B", "f -> T"),
    Case(
        "an assignment to a global name declares it in the module",
        "def f():\n    global a, b\n    a = 1\n    for b in x: pass\na = 2",
        "m -> a\nm -> b",
        "f -> a",
    ),
    Case(
        "nonlocal declares nowhere",
        "def f():\n    a = 1\n    def g():\n        nonlocal a\n        a = 2",
        "f -> a",
    ),
    Case(
        "parameters, imports and rebindings of them do not",
        """
         import a.b, c as d
         from e import f, g as h
         a = d = f = h = 1
         g = 1
         def k(p, *q, r=1, **s):
             p = q = r = s = 2
             from t import u
             u = 3
         """,
        "m -> g",
    ),
    Case("a name that is imported after its first assignment", "a = None\nimport a", "m -> a"),
    Case(
        "comprehension targets do not", "[a for a in b]\n{c: d for c, d in e}\n(f for f in g)", ""
    ),
    Case("class-body names are fields", "class A:\n    a = 1\n    for b in x: pass", ""),
    Case("class bodies reach the module by global", "class A:\n    global a\n    a = 1", "m -> a"),
    Case("attributes and subscripts are no names", "a.b = c[d] = 1\na.b += 1", ""),
    Case("functions, classes and del", "def a(): pass\nclass b: pass\ndel c", ""),
    Case(
        "soft keywords as names",
        "match = case = type = _ = print = 1",
        "m -> match\nm -> case\nm -> type\nm -> _\nm -> print",
    ),
    Case("names that are not ASCII", "é = ñ = 名 = 1", "m -> é\nm -> ñ\nm -> 名"),
]

CONTAINS = [
    Case(
        "direct nesting",
        "def f():\n    def g(): pass\nclass A:\n    def h(self):\n        class B: pass",
        "m -> f\nf -> g\nm -> A\nA -> h\nh -> B",
        "m -> g\nm -> h\nA -> B",
    ),
    Case(
        "through decorators, if, try, with, loops and match",
        """
         @x
         def a(): pass
         if x:
             def b(): pass
         elif y:
             class c: pass
         else:
             async def d(): pass
         try:
             def e(): pass
         except E:
             def f(): pass
         else:
             def g(): pass
         finally:
             def h(): pass
         with x:
             def i(): pass
         for _ in x:
             def j(): pass
         while x:
             def k(): pass
         match x:
             case 1:
                 def l(): pass
         """,
        "\n".join(f"m -> {name}" for name in "abcdefghijkl"),
    ),
    Case(
        "every definition of an overloaded name",
        "@overload\ndef f(a: int): ...\n@overload\ndef f(a: str): ...\ndef f(a): pass",
        "m -> f\nm -> f\nm -> f",
    ),
    Case("lambdas are contained nowhere", "f = lambda: 0", ""),
    Case(
        "generic functions and classes",
        "def f[T: int](x: T): pass\nclass A[*Ts, **P]: pass",
        "m -> f\nm -> A",
    ),
]

HAS_FIELD = [
    Case(
        "class-body bindings",
        """
         class A:
             a = 1
             b: int
             c: int = 2
             d, (e, *f) = x
             for g in x: pass
             with x as h: pass
             if (i := 1): j = 2
             match x:
                 case [k]: pass
             l += 1
             a = 3
         """,
        "\n".join(f"A -> {name}" for name in "abcdefghijkl"),
    ),
    Case(
        "entries of __slots__, not itself",
        """
         class A: __slots__ = ("a", "b")
         class B: __slots__ = ["c"]
         class C: __slots__ = {"d": "doc", "e": None}
         class D: __slots__ = "f"
         class E: __slots__ = {"g"}
         class F: __slots__: tuple = ("h", x, f"{y}", *z)
         class G: __slots__ = "i", "j"
         class H:
             __slots__ = ()
             def f(self): self.__slots__ = None
         """,
        "A -> a\nA -> b\nB -> c\nC -> d\nC -> e\nD -> f\nE -> g\nF -> h\nG -> i\nG -> j",
        "A -> __slots__\nH -> __slots__",
    ),
    Case(
        "receiver.x by any binding statement with a value, whatever the receiver is called",
        """
         class A:
             def f(this, self):
                 this.a = this.b, this.c = 1
                 this.d: int = 1
                 for this.e in x: pass
                 with x as this.g: pass
                 (this.h, [this.i, *this.j]) = x
                 self.no = 1
             @classmethod
             def k(cls): cls.l = 1
             def __new__(cls): cls.n = 1
             async def o(self, /): self.p = 1
         """,
        """
            A -> a
            A -> c
            A -> d
            A -> e
            A -> g
            A -> h
            A -> i
            A -> j
            A -> l
            A -> n
            A -> p
            A -> b
            """,
        "A -> no",
    ),
    Case(
        "in a function nested in a method, but not where the name means something else",
        """
         class A:
             def f(self):
                 def g(): self.a = 1
                 def h(self): self.no = 1
                 class B:
                     def i(self): self.b = 1
                     def j(this): self.c = 1
         """,
        "A -> a\nB -> b\nA -> c",
        "A -> no\nA -> b\nB -> no",
    ),
    Case(
        "static methods and methods with only *args have no receiver",
        """
            class A:
                @staticmethod
                def f(self): self.a = 1
                def g(*args): args.b = 1
                def h(*, self): self.c = 1
            """,
        "",
    ),
    Case(
        "not what is only augmented, annotated, indexed or deeper",
        """
         class A:
             def f(self):
                 self.a += 1
                 self.b: int
                 self.c[0] = 1
                 self.d.e = 1
                 del self.g
         """,
        "",
    ),
    Case(
        "augmented here and assigned there",
        "class A:\n    def f(self): self.a += 1\n    def g(self): self.a = 1",
        "A -> a",
    ),
    Case(
        "once a class",
        """
            class A:
                a: int
                def f(self): self.a = 1
                def g(self): self.a = 2
            class B:
                a = 1
            """,
        "A -> a\nB -> a",
    ),
    Case(
        "not methods, nested classes, imports and type aliases",
        """
            class A:
                def f(self): pass
                class B: pass
                import c
                from d import e
                type X = int
            """,
        "",
    ),
    Case(
        "not a comprehension's targets, nor a function's own variables",
        "class A:\n    a = [b for b in x]\n    def f(self): c = 1",
        "A -> a",
    ),
    Case("a plain function's first parameter is no receiver", "def f(self): self.a = 1", ""),
    Case(
        "dataclass fields, ClassVar and Final too",
        "@dataclass\nclass A:\n    a: int\n    b: ClassVar[int] = 1\n    c: Final = 2",
        "A -> a\nA -> b\nA -> c",
    ),
]

HAS_PARAMETER = [
    Case(
        "all kinds, without stars",
        "def f(a, /, b, c=1, *args, d, e: int = 2, **kwargs): pass",
        "f -> a\nf -> b\nf -> c\nf -> args\nf -> d\nf -> e\nf -> kwargs",
    ),
    Case("after a bare star", "def f(*, a, b=1): pass", "f -> a\nf -> b"),
    Case(
        "annotated stars",
        "def f(*a: int, **b: str): pass\ndef g(*c: *Ts): pass",
        "f -> a\nf -> b\ng -> c",
    ),
    Case(
        "receivers are none: of methods, class methods and __new__",
        """
         class A:
             def f(self, a): pass
             def g(this=None, /, b=1): pass
             @classmethod
             def h(cls, c): pass
             def __new__(cls, d): pass
             @property
             def i(self: Self): pass
             async def j(self): pass
             if x:
                 def k(self, e): pass
         """,
        "f -> a\ng -> b\nh -> c\n__new__ -> d\nk -> e",
        "f -> self\nh -> cls\ni -> self",
    ),
    Case(
        "static methods and methods with only *args have no receiver",
        """
            class A:
                @staticmethod
                def f(a, b): pass
                @abc.abstractmethod
                @staticmethod
                def g(c): pass
                def h(*args, d): pass
                def i(*, e): pass
            """,
        "f -> a\nf -> b\ng -> c\nh -> args\nh -> d\ni -> e",
    ),
    Case(
        "functions nested in methods have no receiver",
        "class A:\n    def f(self):\n        def g(self): pass",
        "g -> self",
    ),
    Case("parameters of lambdas are none", "lambda a, *b, c=1, **d: 0", ""),
]


@parametrized(DECLARES)
def test_declares(case: Case) -> None:
    check("declares", case)


@parametrized(CONTAINS)
def test_contains(case: Case) -> None:
    check("contains", case)


@parametrized(HAS_FIELD)
def test_has_field(case: Case) -> None:
    check("has_field", case)


@parametrized(HAS_PARAMETER)
def test_has_parameter(case: Case) -> None:
    check("has_parameter", case)


def test_first_binding_is_the_one() -> None:
    code = "def f():\n    global a\n    a = 1\na = 2"
    [declared] = [each for each in triples_of(code) if each.tail == "a"]
    assert (declared.head, declared.head_start, declared.tail_start) == (
        "m",
        -1,
        code.index("a = 1"),
    )
