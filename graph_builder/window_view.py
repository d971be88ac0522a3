"""One window of a data set as text for a terminal: its code, its roots, its triples in place."""

from collections.abc import Iterable

from tokenizers import Tokenizer

from graph_builder.dataset import Dataset
from graph_builder.dense import leaf_slots
from graph_builder.errors import UserError
from graph_builder.record import ChainGraph
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import table_records
from graph_builder.tokenizer import decode_bytes, load_tokenizer


def window_view(dataset: Dataset, split: str, number: int) -> str:
    """Return the view of window `number` (from 0) of a split; raise UserError without one."""
    num_windows = sum(shard.num_windows for shard in dataset.shards(split))
    if num_windows == 0:
        raise UserError(f"{dataset.path}: {split} has no windows: choose another split")
    if not 0 <= number < num_windows:
        raise UserError(f"{dataset.path}: {split} has windows 0 to {num_windows - 1}, not {number}")
    tokenizer = load_tokenizer(dataset.tokenizer_path)
    window = _window(dataset, split, number)
    place = f"window {number} of {num_windows} in {split}: {window.source}, {window.path}"
    return "\n".join([place, *view_lines(window, tokenizer)])


def view_lines(window: ChainGraph, tokenizer: Tokenizer) -> list[str]:
    """Return the view of one record, line by line."""
    return [
        f"{window.kind} {window.qualified_name} (window {window.window_index} of the file, "
        f"lines {window.start_line}-{window.end_line})",
        "",
        *_code_lines(window, tokenizer),
        "",
        *_root_lines(window, tokenizer),
        "",
        *_triple_lines(window, tokenizer),
    ]


def _window(dataset: Dataset, split: str, number: int) -> ChainGraph:
    for shard in dataset.shards(split):
        if number < shard.num_windows:
            return next(table_records(dataset.read(shard).slice(number, 1)))
        number -= shard.num_windows
    raise AssertionError("the number was checked")


def _code_lines(window: ChainGraph, tokenizer: Tokenizer) -> list[str]:
    own = window.root_ids[window.root_starts >= 0]
    return decode_bytes(tokenizer, own).decode(errors="replace").rstrip("\n").splitlines()


def _root_lines(window: ChainGraph, tokenizer: Tokenizer) -> list[str]:
    """Return the roots, ten a line, those without text in the file in brackets."""
    cells = []
    for index, token_id in enumerate(window.root_ids):
        text = _text(tokenizer, [token_id]) or tokenizer.id_to_token(int(token_id))
        cells.append(f"{index}:[{text}]" if window.root_starts[index] < 0 else f"{index}:{text}")
    rows = ["  ".join(cells[start : start + 10]) for start in range(0, len(cells), 10)]
    return [f"roots ({len(cells)}; in brackets: no text of the file)", *(f"  {r}" for r in rows)]


def _triple_lines(window: ChainGraph, tokenizer: Tokenizer) -> list[str]:
    """Return a line for each triple: root and slots, the mention, the relation, the leaves."""
    slots = leaf_slots(window.leaf_roots)
    lines = [f"triples ({len(window.triple_relations)}), <- where the leaves spell the head"]
    for index, relation in enumerate(window.triple_relations):
        leaves = (window.leaf_triples == index).nonzero()[0]
        start = window.triple_head_starts[index]
        mention = window.root_ids[start : start + window.triple_head_lengths[index]]
        place = f"root {window.leaf_roots[leaves[0]]} slots {slots[leaves[0]]}-{slots[leaves[-1]]}"
        arrow = "<-" if window.triple_is_reversed[index] else "->"
        origin = "  (knowledge)" if window.triple_is_knowledge[index] else ""
        lines.append(
            f"  {place:<20}{_text(tokenizer, mention)} {RELATION_NAMES[relation]} {arrow} "
            f"{_text(tokenizer, window.leaf_ids[leaves])}{origin}"
        )
    return lines


def _text(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """Return tokens as one printable piece without the space before it."""
    text = decode_bytes(tokenizer, ids).decode(errors="replace")
    return text.strip(" ").translate({10: "\\n", 13: "\\r", 9: "\\t"}) or ("␣" if text else "")
