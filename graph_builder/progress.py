"""Progress of long work: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES: Final = 10.0


@dataclass(frozen=True)
class Amount:
    """Source code, counted in two ways."""

    num_files: int = 0
    num_bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.num_files + other.num_files, self.num_bytes + other.num_bytes)


def with_progress(
    items: Iterable[Item],
    what: str,
    total: Amount,
    amount_of: Callable[[Item], Amount],
    say: Callable[[str], None],
) -> Iterator[Item]:
    """Yield the items as they come; show files, MB, MB/s and the time that is left."""
    done, start = Amount(), time.monotonic()
    told_at = start
    has_bar = sys.stderr.isatty()
    with tqdm(
        desc=what, total=total.num_bytes, unit="B", unit_scale=True, disable=not has_bar
    ) as bar:
        for item in items:
            amount = amount_of(item)
            done = done + amount
            bar.set_postfix_str(f"{done.num_files:,} of {total.num_files:,} files", refresh=False)
            bar.update(amount.num_bytes)
            now = time.monotonic()
            if not has_bar and now - told_at >= SECONDS_BETWEEN_LINES:
                told_at = now
                say(progress_line(what, done, total, now - start))
            yield item


def progress_line(what: str, done: Amount, total: Amount, elapsed_s: float) -> str:
    """Return how far the work is, for a reader of lines."""
    speed = done.num_bytes / elapsed_s
    left_s = (total.num_bytes - done.num_bytes) / speed if speed else float("inf")
    return (
        f"{what}: {done.num_files:,} of {total.num_files:,} files, "
        f"{done.num_bytes / 1e6:.1f} of {total.num_bytes / 1e6:.1f} MB, "
        f"{speed / 1e6:.2f} MB/s, {left_s:.0f} s left"
    )
