"""`calls` and `instantiates`, clause by clause."""

from extracted_rows import triples_of
from relation_cases import Case, check, parametrized

CALLS = [
    Case("module-level code has the module as head", "f()", "m -> f"),
    Case("a name, dotted as written", "a.b.c()", "m -> a.b.c"),
    Case(
        "the attribute part that follows anything but a name",
        """
        f().g()
        f().a.b()
        "".join(x)
        super().m()
        x[0].g2()
        (a or b).h()
        (await_ := f).i()
        [].j()
        f"{x}".k()
        1 .real.l()
        """,
        """
        m -> f
        m -> g
        m -> f
        m -> a.b
        m -> join
        m -> super
        m -> m
        m -> g2
        m -> h
        m -> i
        m -> j
        m -> k
        m -> real.l
        """,
    ),
    Case("no name at all", "x[0]()\nf()()\n(lambda: 0)()", "m -> f", "m -> x"),
    Case(
        "super and one-argument type",
        "super()\ntype(x)\ntype((x))",
        "m -> super\nm -> type\nm -> type",
    ),
    Case(
        "a local or parameter that shadows a class",
        """
        class A: pass
        class B: pass
        def f(A):
            A()
            B()
            B = 3
        """,
        "f -> A\nf -> B",
    ),
    Case(
        "a parameter of a lambda or a comprehension's target shadows too",
        """
        class A: pass
        [A() for A in x]
        lambda A: A()
        """,
        "m -> A\nm -> A",
    ),
    Case(
        "decorators with parentheses, in the outer scope; bare ones not",
        """
        @a.deco(x())
        @bare
        @c.d
        def f():
            @inner()
            class C: pass
        """,
        "m -> a.deco\nm -> x\nf -> inner",
        "m -> bare\nm -> c.d\nf -> a.deco",
    ),
    Case(
        "defaults, annotations and bases belong to the outer scope",
        """
        def f(a=d(), *, b: t() = e()) -> r(): pass
        class C(base(), metaclass=meta()): pass
        """,
        "m -> d\nm -> t\nm -> e\nm -> r\nm -> base\nm -> meta",
    ),
    Case(
        "lambdas and comprehensions belong to the nearest function, class or module",
        """
        lambda: a()
        class C:
            x = [b() for _ in c()]
            def f(self):
                return {k(): v() for k in (lambda: d())()}
        """,
        "m -> a\nC -> b\nC -> c\nf -> k\nf -> v\nf -> d",
    ),
    Case(
        "class patterns are no calls",
        "match x:\n    case A(b=C()): f()",
        "m -> f",
        "m -> A\nm -> C",
    ),
    Case(
        "in f-strings, their format specs, and t-strings",
        """f"{a()!r:>{b()}} {{c()}}" + t"{d()}" """,
        "m -> a\nm -> b\nm -> d",
        "m -> c",
    ),
    Case("known functions however written", "def Make(): pass\nMake()", "m -> Make"),
    Case("unknown ALL_CAPS names", "URL()\na._F()\nF2()", "m -> URL\nm -> a._F\nm -> F2"),
    Case(
        "calls inside arguments, subscripts and slices",
        "f(g(h()), k=i())[j():k()]",
        "m -> f\nm -> g\nm -> h\nm -> i\nm -> j\nm -> k",
    ),
    Case(
        "a splat binds looser than the call",
        "[*a.b(), *c()]\nf(*d.e())",
        "m -> a.b\nm -> c\nm -> f\nm -> d.e",
    ),
    Case("an assignment to what type(x) gives", "type(x).y = f()", "m -> type\nm -> f"),
    Case("dotted names over several lines", "(a\n  .b  # why\n  .c())", "m -> a.b.c"),
    Case(
        "soft keywords and old statements",
        "print(a())\nmatch(b)\ncase(c)\n_(d)\ntype(e)",
        "m -> print\nm -> a\nm -> match\nm -> case\nm -> _\nm -> type",
    ),
    Case(
        "await, async and del",
        "async def f():\n    await g()\n    del h()[0]\n    async with i(): pass",
        "f -> g\nf -> h\nf -> i",
    ),
    Case(
        "the receiver of a plain method is an instance, however its class is called",
        """
        class A:
            def f(self):
                self()
                self.__class__.make()
                type(self).make()
        """,
        "f -> self\nf -> self.__class__.make\nf -> type\nf -> make",
    ),
    Case(
        "assert, raise, return and conditions",
        """
            def f():
                assert a(), b()
                raise c() from d()
                while e(): return g() if h() else i()
            """,
        "f -> a\nf -> b\nf -> c\nf -> d\nf -> e\nf -> g\nf -> h\nf -> i",
    ),
]

INSTANTIATES = [
    Case("a class of this file", "class a: pass\na()\ndef f(): a()", "m -> a\nf -> a"),
    Case(
        "a nested class, by its dotted name",
        "class A:\n    class b: pass\nA.b()\nA.c()",
        "m -> A.b",
    ),
    Case(
        "a nested class, through the receiver",
        "class A:\n    class b: pass\n    def f(self): self.b()",
        "f -> self.b",
    ),
    Case(
        "builtin types",
        "ValueError()\nrange(3)\nzip()\nmap()\nenumerate(x)\nproperty()\nobject()\nint('1')",
        """
            m -> ValueError
            m -> range
            m -> zip
            m -> map
            m -> enumerate
            m -> property
            m -> object
            m -> int
            """,
    ),
    Case("three-argument type", "type('X', (), {})", "m -> type"),
    Case("builtins that are no types", "len(x)\nprint()\nsorted(x)\nsuper()", ""),
    Case("a builtin's name bound here", "def range(): pass\nrange()\ndef f(list): list()", ""),
    Case(
        "cls(), type(self)() and self.__class__() give the class",
        """
        class A:
            def f(self):
                type(self)()
                self.__class__(1)
                def g(): return type(self)()
                return [type(self)() for x in y]
            @classmethod
            def make(klass): return klass()
            def __new__(cls): return cls()
            def __init_subclass__(cls): cls()
            @validator
            def check(cls, v): return cls()
            @staticmethod
            def not_a_method(self): type(self)()
        """,
        """
            f -> A
            f -> A
            g -> A
            f -> A
            make -> A
            __new__ -> A
            __init_subclass__ -> A
            check -> A
            """,
    ),
    Case(
        "CapWords, leading underscores aside",
        "a.Foo()\n_Bar()\nx[0].Baz()\nHTTPServer()",
        "m -> a.Foo\nm -> _Bar\nm -> Baz\nm -> HTTPServer",
    ),
    Case("not written like a class", "foo()\nX()\nURL()\nfooBar()\n_()\n__all__()", ""),
    Case("a known class in capitals", "class URL: pass\nURL()", "m -> URL"),
    Case("a known function in CapWords", "def Make(): pass\nMake()", ""),
    Case(
        "a class defined in a branch, or after an import failed",
        "try:\n    from x import a\nexcept ImportError:\n    class a: pass\na()",
        "m -> a",
    ),
    Case(
        "another name of a class, and classes made by calls",
        "class a: pass\nb = a\nb()\np = namedtuple('p', 'x')\np()\nq = f()\nq()",
        "m -> b\nm -> p",
        "m -> q\nm -> namedtuple",
    ),
    Case(
        "class scope is not seen from methods",
        "class A:\n    class b: pass\n    b()\n    def f(self): b()",
        "A -> b",
    ),
    Case(
        "a class of the function, and of the function around it",
        "def f():\n    class a: pass\n    a()\n    def g(): a()",
        "f -> a\ng -> a",
    ),
    Case(
        "global reaches past a local of the same name",
        "class a: pass\ndef f():\n    a = 1\n    def g():\n        global a\n        a()\n    a()",
        "g -> a",
    ),
]


@parametrized(CALLS)
def test_calls(case: Case) -> None:
    check("calls", case)


@parametrized(INSTANTIATES)
def test_instantiates(case: Case) -> None:
    check("instantiates", case)


def test_only_capwords_are_guesses() -> None:
    code = """
        from x import Foo
        class A: pass
        A()
        int()
        Foo()
        b.Bar()
        C = namedtuple('C', 'x')
        C()
        """
    guesses = {each.tail for each in triples_of(code) if each.is_guess}
    assert guesses == {"Foo", "b.Bar"}


def test_made_class_covers_what_is_written() -> None:
    code = "class A:\n    def f(self): return type(self)(1), self.__class__(2)"
    spans = [
        code[each.tail_start : each.tail_end] for each in triples_of(code) if each.relation == 2
    ]
    assert spans == ["type(self)", "self.__class__"]
