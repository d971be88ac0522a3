"""Random models and windows for the model's tests: any layout, graphs no builder would write."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graph_builder.layout import ChainLayout
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.inputs import GraphInputs

LAYOUT = ChainLayout(num_roots=5, leaves_per_root=3)
VOCAB_SIZE = 40
NUM_RELATIONS = 4


@dataclass(frozen=True)
class Windows:
    """Fixed-width tensors, as `GraphMERTModel.forward` takes them. B windows."""

    input_ids: Tensor  # (B, N)
    attention_mask: Tensor  # (B, N)
    token_type_ids: Tensor  # (B, N)
    graph_structure: Tensor  # (B, R, L)
    relation_ids: Tensor  # (B, R, L)
    head_starts: Tensor  # (B, R, L)
    head_lengths: Tensor  # (B, R, L)
    is_knowledge: Tensor  # (B, R, L) bool

    def arguments(self) -> dict[str, Tensor]:
        return dict(vars(self))


def random_model(
    layout: ChainLayout = LAYOUT, dtype: torch.dtype = torch.float64, seed: int = 0, **settings
) -> GraphMERTModel:
    """Return a small model in evaluation mode, its weights wide enough for every term to count."""
    torch.manual_seed(seed)
    sizes = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 20,
        "num_relations": NUM_RELATIONS,
        "num_roots": layout.num_roots,
        "leaves_per_root": layout.leaves_per_root,
    }
    model = GraphMERTModel(GraphMERTConfig(**(sizes | settings)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.4)
    return model.to(dtype).eval()


def random_windows(
    num_windows: int, layout: ChainLayout = LAYOUT, seed: int = 0, leaf_share: float = 0.6
) -> Windows:
    """Return windows with padding, hidden leaves, leaves named by several slots, masked relations.

    Each slot names any leaf, its own or not, or none; each head is a run of roots that may reach
    into the padding.
    """
    g = torch.Generator().manual_seed(seed)
    shape = (num_windows, layout.num_roots, layout.leaves_per_root)
    positions = torch.arange(layout.num_nodes).expand(num_windows, -1)
    num_real = torch.randint(1, layout.num_roots + 1, (num_windows, 1), generator=g)
    is_shown = torch.rand(num_windows, layout.num_nodes, generator=g) < leaf_share
    is_leaf = positions >= layout.num_roots
    structure = torch.randint(layout.num_roots, layout.num_nodes, shape, generator=g)
    is_absent = torch.rand(shape, generator=g) < 0.5
    starts = torch.randint(0, layout.num_roots, shape, generator=g)
    lengths = torch.randint(1, 4, shape, generator=g).minimum(layout.num_roots - starts)
    has_no_head = torch.rand(shape, generator=g) < 0.2
    return Windows(
        input_ids=torch.randint(0, VOCAB_SIZE, positions.shape, generator=g),
        attention_mask=torch.where(is_leaf, is_shown, positions < num_real).long(),
        token_type_ids=is_leaf.long(),
        graph_structure=structure.masked_fill(is_absent, -1),
        relation_ids=torch.randint(-1, NUM_RELATIONS, shape, generator=g),
        head_starts=starts.masked_fill(has_no_head, -1),
        head_lengths=lengths.masked_fill(has_no_head, -1),
        is_knowledge=torch.rand(shape, generator=g) < 0.5,
    )


def pack_windows(
    windows: Windows, layout: ChainLayout, row_length: int, masked_relation: int
) -> tuple[GraphInputs, list[dict[int, tuple[int, int]]]]:
    """Return only the real tokens, several windows a row, and where each window's tokens went.

    Plain loops, in Python: nothing is shared with the packing that training uses. The last entry
    of the result maps, for each window, a position of the layout to (row, column).
    """
    rows: list[list[tuple[int, int]]] = [[]]  # each token as (window, position)
    for window, mask in enumerate(windows.attention_mask.tolist()):
        tokens = [(window, position) for position, is_real in enumerate(mask) if is_real]
        if len(rows[-1]) + len(tokens) > row_length:
            rows.append([])
        rows[-1].extend(tokens)
    places: list[dict[int, tuple[int, int]]] = [{} for _ in windows.input_ids]
    for row, tokens in enumerate(rows):
        for column, (window, position) in enumerate(tokens):
            places[window][position] = (row, column)
    tokens = [[_token(windows, layout, *token) for token in row] for row in rows]
    nothing = (1, 0, 0, -1, 0, -1)
    edges: list[list[tuple[int, ...]]] = [[] for _ in rows]
    for window, place in enumerate(places):
        row = next(iter(place.values()))[0]
        edges[row].extend(_edges(windows, layout, window, place, masked_relation))
    no_edge = (-1, -1, 0, 1, 0)
    token_table = _table(tokens, nothing, row_length)
    edge_table = _table(edges, no_edge, max(1, *map(len, edges)))
    return GraphInputs(*token_table, *edge_table), places


def _table(rows: list[list[tuple[int, ...]]], filler: tuple[int, ...], width: int) -> list[Tensor]:
    """Return one (B, width) tensor for each field, short rows filled up."""
    filled = [row + [filler] * (width - len(row)) for row in rows]
    return list(torch.tensor(filled).permute(2, 0, 1))


def _token(windows: Windows, layout: ChainLayout, window: int, position: int) -> tuple[int, ...]:
    """Return the token's fields, in the order of `GraphInputs`."""
    root, slot = position, -1
    if position >= layout.num_roots:
        root, slot = divmod(position - layout.num_roots, layout.leaves_per_root)
    token_id = int(windows.input_ids[window, position])
    return (token_id, position, token_type(windows, window, position), window, root, slot)


def token_type(windows: Windows, window: int, position: int) -> int:
    """Return 0 for a root, 1 for a leaf, 2 for one that a slot of knowledge names."""
    is_named = windows.graph_structure[window] == position
    is_leaf = int(windows.token_type_ids[window, position])
    return is_leaf + int(windows.is_knowledge[window][is_named].any())


def _edges(
    windows: Windows,
    layout: ChainLayout,
    window: int,
    place: dict[int, tuple[int, int]],
    masked_relation: int,
) -> list[tuple[int, ...]]:
    """Return the window's edges between real tokens, in the order of `GraphInputs`."""
    edges = []
    for root in range(layout.num_roots):
        for slot in range(layout.leaves_per_root):
            leaf = int(windows.graph_structure[window, root, slot])
            start = int(windows.head_starts[window, root, slot])
            length = int(windows.head_lengths[window, root, slot])
            head = range(start, start + length) if start >= 0 else range(root, root + 1)
            columns = [place[token][1] for token in head if token in place]
            if leaf in place and columns:
                relation = int(windows.relation_ids[window, root, slot])
                relation = masked_relation if relation < 0 else relation
                at = (place[leaf][1], place[root][1] if root in place else -1)
                edges.append((*at, columns[0], len(columns), relation))
    return edges
