"""`flows_to`, clause by clause."""

from extracted_rows import said, triples_of
from relation_cases import Case, check, parametrized

FLOWS = [
    Case(
        "inside functions only",
        "a = 1\nb = a\nclass A:\n    c = a\n    d = [x for x in a]\nf(a)",
        "",
    ),
    Case(
        "locals, parameters, free variables and module-level variables",
        """
         g = 1
         def f(p, *q, r=1, **s):
             a = p
             b = a + q + r * s
             c = g
             def h():
                 d = a + p
                 return d
         """,
        "p -> a\na -> b\nq -> b\nr -> b\ns -> b\ng -> c\na -> d\np -> d",
    ),
    Case(
        "not functions, classes, modules, imported names, builtins, nor unknown names",
        """
         import m1
         from m2 import n
         def g(): pass
         class A: pass
         def f(p):
             import m3
             def h(): pass
             a = g, A, m1, n, m3, h, len, unknown, m1.x, A.y, p
         """,
        "p -> a",
    ),
    Case(
        "a name that was imported first stays imported",
        "try:\n    import j\nexcept E:\n    j = None\ndef f(): a = j",
        "",
    ),
    Case(
        "assignment, annotated and augmented",
        "def f(p, q, r):\n    a = p\n    b: T[q] = q\n    c += r\n    d: p",
        "p -> a\nq -> b\nr -> c",
    ),
    Case(
        "walrus",
        "def f(p):\n    if (a := p): pass\n    b = (c := p) + 1",
        "p -> a\np -> c\np -> b",
        "c -> b",
    ),
    Case(
        "for, with, and comprehension clauses",
        """
         def f(p, q, r):
             for a in p: pass
             with q as b, open(r) as (c, d): pass
             async def g():
                 async for e in p: pass
         """,
        "p -> a\nq -> b\nr -> c\nr -> d\np -> e",
    ),
    Case(
        "comprehensions: clauses, tests and elements",
        "def f(p, q, r):\n    a = [x + q for x in p if r]",
        "p -> x\nx -> a\nq -> a\np -> a\nr -> a",
    ),
    Case("nested clauses", "def f(p):\n    return [y for x in p for y in x]", "p -> x\nx -> y"),
    Case(
        "dict and set comprehensions and generators",
        """
            def f(p):
                a = {k: v for k, v in p}
                b = {x for x in p}
                c = sum(y for y in p)
            """,
        "p -> k\np -> v\nk -> a\nv -> a\np -> a\np -> x\nx -> b\np -> b\np -> y\ny -> c\np -> c",
    ),
    Case(
        "match captures, from the subject",
        """
         def f(p, q):
             match p:
                 case [a, *b]: pass
                 case {"k": c, **d}: pass
                 case P(e, k=g) as h: pass
                 case i | (j, 1): pass
                 case A.B: pass
             match p, q:
                 case k, l: pass
                 case [x, *y]: pass
                 case z: pass
                 case (u, v) | [w]: pass
         """,
        "\n".join(f"p -> {name}" for name in "abcdeghij")
        + "\np -> k\nq -> l\np -> x\nq -> y\np -> z\nq -> z\np -> u\nq -> v\np -> w\nq -> w",
    ),
    Case("not except as", "def f(p):\n    try: pass\n    except p as e: pass", ""),
    Case(
        "not yields and returns",
        "def f(p):\n    a = yield p\n    b = yield from p\n    c = (yield p) + p\n    return p",
        "p -> c",
    ),
    Case("await is looked through", "async def f(p):\n    a = await p", "p -> a"),
    Case(
        "the receiver object of a method call, not the callee",
        """
            def f(p, q, g):
                a = p.m(q)
                b = g(q)
                c = p.x.y.m()
                d = g(p)(q)
                e = p[q].m()
                h = p[q](g)
            """,
        "p -> a\nq -> a\nq -> b\np -> c\np -> d\nq -> d\np -> e\nq -> e\np -> h\nq -> h\ng -> h",
    ),
    Case(
        "conditional tests, operands, subscripts, slices, f-strings, dicts and splats",
        """
            def f(p, q, r):
                a = p if q else r
                b = not p or q < r
                c = p[q:r]
                d = f'{p!r:>{q}}'
                e = {p: q, **r}
                g = [*p, (q,)]
                h = x(*p, k=q, **r)
            """,
        "\n".join(f"{s} -> {t}" for t in "abceh" for s in "pqr")
        + "\np -> d\nq -> d\np -> g\nq -> g",
    ),
    Case(
        "not names in lambda bodies, keyword names or attributes",
        "def f(p, q, k):\n    a = lambda x=p: q + x\n    b = g(k=p).q",
        "p -> a\np -> b",
    ),
    Case(
        "nothing flows inside a lambda's body",
        "def f(p):\n    return lambda: [x for x in p if (y := p)]",
        "",
    ),
    Case(
        "receiver.x as written is source and target; the bare receiver is neither",
        """
         class A:
             def f(this, p):
                 this.a = p
                 b = this.a
                 c = this.a.b.c
                 d = this
                 e = [this, p]
                 this.g = this.h
                 i = this.m(p)
                 j = this.k.m(p)
                 this.l[p] = b
                 this.n.o = b
                 this[p] = b
                 q = this[p]
                 def r():
                     s = this.t
             @classmethod
             def u(cls, p):
                 v = cls.w
                 cls.x = p
         """,
        """
         p -> this.a
         this.a -> b
         this.a -> c
         p -> e
         this.h -> this.g
         p -> i
         this.k -> j
         p -> j
         b -> this.l
         b -> this.n
         p -> q
         this.t -> s
         cls.w -> v
         p -> cls.x
         """,
        "this -> d\nthis -> e\nthis -> i",
    ),
    Case(
        "other targets: the base name",
        """
            def f(o, d, k, v):
                o.x = v
                d[k] = v
                o.a.b[k].c = v
                g().x = v
                for d[k] in v: pass
            """,
        "v -> o\nv -> d\nv -> o\nv -> d",
        "k -> d",
    ),
    Case(
        "a plain function's first parameter is no receiver",
        "def f(self):\n    a = self.x\n    b = self",
        "self -> a\nself -> b",
    ),
    Case(
        "tuples and lists pair up, recursively",
        """
         def f(p, q, r, s):
             a, b = p, q
             (c, [d, e]) = p, (q, r)
             p, q = q, p
             g = h, i = p, q
             [j, k] = (p, q)
             (l) = p, q
         """,
        """
         p -> a
         q -> b
         p -> c
         q -> d
         r -> e
         q -> p
         p -> q
         p -> g
         q -> g
         p -> h
         q -> i
         p -> j
         q -> k
         p -> l
         q -> l
         """,
    ),
    Case(
        "a starred target takes the rest",
        """
            def f(p, q, r, s):
                a, *b = p, q, r
                *c, d = p, q, r
                e, *g, h = p, q
                i, (*j, k), l = p, (q, r), s
            """,
        """
            p -> a
            q -> b
            r -> b
            p -> c
            q -> c
            r -> d
            p -> e
            q -> h
            p -> i
            q -> j
            r -> k
            s -> l
            """,
        "p -> g\nq -> g",
    ),
    Case(
        "a starred attribute or item",
        """
        class A:
            def f(self, o, p, q, r):
                *self.a, b = p, q, r
                *o.c, self.d = p, q, r
                *o[0], e = p
                self.g, *self.h[1] = q, r
        """,
        """
        p -> self.a
        q -> self.a
        r -> b
        p -> o
        q -> o
        r -> self.d
        p -> o
        p -> e
        q -> self.g
        r -> self.h
        """,
    ),
    Case(
        "otherwise all to all",
        "def f(p, q, r):\n    a, b = p\n    c, d = p, q, r\n    e, g = *p, q\n    h, (i, j) = p, q",
        """
            p -> a
            p -> b
            p -> c
            q -> c
            r -> c
            p -> d
            q -> d
            r -> d
            p -> e
            q -> e
            p -> g
            q -> g
            p -> h
            q -> i
            q -> j
            """,
    ),
    Case(
        "what a loop runs over never pairs",
        """
            def f(p, q):
                for a, b in p, q: pass
                for c, d in ((p, q),): pass
                [x for x, y in (p, q)]
            """,
        """
            p -> a
            q -> a
            p -> b
            q -> b
            p -> c
            q -> c
            p -> d
            q -> d
            p -> x
            q -> x
            p -> y
            q -> y
            """,
    ),
    Case(
        "not a name to itself",
        "def f(p):\n    p = p + 1\n    p += p\n    p[p] = p\n    p, q = p, p",
        "p -> q",
    ),
    Case(
        "not in a class body in a function",
        "def f(p):\n    class A:\n        x = p\n        def g(self): y = p",
        "p -> y",
    ),
    Case(
        "global and nonlocal names",
        """
            g = 1
            def f(p):
                global g, n
                g = p
                n = p
                v = 1
                def h():
                    nonlocal v
                    v = p
                    a = v + n + g
            """,
        "p -> g\np -> n\np -> v\nv -> a\nn -> a\ng -> a",
    ),
]

ARGUMENTS = [
    Case(
        "a bare name flows to the parameter that it binds to",
        """
            def g(a, /, b, *c, d=1, **e): pass
            def f(p, q, r, s):
                g(p, q, r, s)
                g(p, b=q, d=r, x=s, a=s)
            """,
        "p -> a\nq -> b\nr -> c\ns -> c\np -> a\nq -> b\nr -> d\ns -> e\ns -> e",
    ),
    Case(
        "*xs flows to *args, and what follows is not known",
        """
            def g(a, *b): pass
            def h(a): pass
            def f(p, q):
                g(*p)
                g(*p, q)
                h(*p)
                h(**q)
            """,
        "p -> b\np -> b",
    ),
    Case(
        "not a bare receiver, expression, attribute or name to itself",
        """
            def g(a, b=1): pass
            class A:
                def f(self, p, a):
                    g(self)
                    g(p + 1)
                    g(p.x)
                    g(a)
                    g(self.x)
                    g(p[0], self.x.y)
            """,
        "self.x -> a",
    ),
    Case("inside functions only", "def g(a): pass\np = 1\ng(p)", ""),
    Case(
        "not what a name of something else is bound to",
        "import n\ndef g(a): pass\ndef f():\n    g(n)\n    g(g)\n    g(len)",
        "",
    ),
    Case("nor inside a lambda's body", "def g(a): pass\ndef f(p): return lambda: g(p)", ""),
    Case(
        "methods called on the receiver, inherited ones too",
        """
         class A:
             def m(self, a): pass
             @staticmethod
             def s(b): pass
             @classmethod
             def c(cls, d): pass
             def o(self, e): pass
         class B(A):
             def o(this, g): pass
             def f(self, p):
                 self.m(p)
                 self.s(p)
                 self.c(p)
                 self.o(p)
                 self.unknown(p)
             @classmethod
             def h(cls, p):
                 cls.c(p)
                 cls.m(cls, p)
         def f(p, o):
             o.m(p)
             A.m(o, p)
         """,
        "p -> a\np -> b\np -> d\np -> g\np -> d\np -> a",
    ),
    Case(
        "constructors, inherited ones too",
        """
         class A:
             def __init__(self, a, b=1): pass
         class B(A): pass
         class C: pass
         class D:
             def __init__(self, d): pass
             def f(self, p):
                 type(self)(p)
                 self.__class__(p)
             @classmethod
             def g(cls, p): return cls(p)
         def f(p, q):
             A(p, b=q)
             B(p)
             C(p)
         """,
        "p -> a\nq -> b\np -> a\np -> d\np -> d\np -> d",
    ),
    Case("nested functions", "def f(p):\n    def g(a): pass\n    g(p)", "p -> a"),
    Case(
        "the implementation of overloads",
        "@overload\ndef g(a: int): ...\ndef g(b): pass\ndef f(p): g(p)",
        "p -> b",
    ),
    Case(
        "a property gives a value, not the function",
        "class A:\n    @property\n    def m(self): pass\n    def f(self, p): self.m(p)",
        "",
    ),
    Case(
        "in a comprehension of a function",
        "def g(a): pass\ndef f(p): [g(x) for x in p]",
        "p -> x\nx -> a",
    ),
    Case(
        "decorators and defaults in functions",
        "def g(a): pass\ndef f(p):\n    @g(p)\n    def h(x=g(p)): pass",
        "p -> a\np -> a",
    ),
]


@parametrized(FLOWS)
def test_flows(case: Case) -> None:
    check("flows_to", case)


@parametrized(ARGUMENTS)
def test_arguments_flow_to_parameters(case: Case) -> None:
    check("flows_to", case)


def test_call_whose_result_is_passed_is_no_bare_name() -> None:
    code = "def g(a): pass\ndef f(p, h):\n    g(h().x)\n    g((p))\n    g(h()[p])"
    flows = [said(each) for each in triples_of(code) if each.relation == 11]
    assert flows == ["p flows_to a"]


def test_spans_of_receiver_attributes() -> None:
    code = "class A:\n    def f(self):\n        x = self . y.z\n        self.w[0] = x"
    spans = [
        (code[each.head_start : each.head_end], code[each.tail_start : each.tail_end])
        for each in triples_of(code)
        if each.relation == 11
    ]
    assert spans == [("self . y", "x"), ("x", "self.w")]
