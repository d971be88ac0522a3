"""Compare the extractor with an independent reading by `ast`, over the whole standard library.

    python benchmarks/extract_oracle.py [--show 20]

Prints precision and recall of each syntactic relation; `callee` is `calls` and `instantiates`
together. The sample in tests/graph_builder/test_oracle_ast.py is a part of it.
"""

import argparse
import sys
import sysconfig
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "graph_builder"))
from oracle_comparison import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", type=int, default=0, help="disagreements to print")
    arguments = parser.parse_args()
    sys.setrecursionlimit(20_000)
    root = Path(sysconfig.get_path("stdlib"))
    paths = [each for each in sorted(root.rglob("*.py")) if "site-packages" not in each.parts]
    result = compare(paths, root)
    extra, missing = (Counter(row[1] for _, row in rows) for rows in (result.extra, result.missing))
    print(f"| relation ({result.num_files} files) | agree | extra | missing | precision | recall |")
    print("|---|---|---|---|---|---|")
    for name, agreed in sorted(result.num_agreed.items()):
        scores = (agreed / (agreed + others[name]) for others in (extra, missing))
        cells = [name, agreed, extra[name], missing[name], *(f"{each:.5f}" for each in scores)]
        print("|", " | ".join(map(str, cells)), "|")
    print(f"all: precision {result.precision:.5f}, recall {result.recall:.5f}")
    print(f"spans that are not the printed name: {len(result.inexact)}")
    for kind, rows in (("extra", result.extra), ("missing", result.missing)):
        for row in rows[: arguments.show]:
            print(kind, *row)


if __name__ == "__main__":
    main()
