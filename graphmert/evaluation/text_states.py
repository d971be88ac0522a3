"""The final states that code search compares: of a query's tokens, a function's, its leaves'.

Legend: P texts, W windows, R roots, S tokens of all texts (a function's own, then its windows'
leaves'), T of the longest, C hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from graphmert.data.cutting import cut_roots, plain_windows
from graphmert.data.packing import pack, pack_one_row
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.function_pairs import FunctionPair
from graphmert.evaluation.questions import unmasked
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL


@dataclass(frozen=True)
class TextStates:
    """The states of P texts, one text after the other."""

    states: Tensor  # (S, C)
    lengths: Tensor  # (P,) how many of them each text has: one of its own at least
    is_leaf: Tensor  # (S,) bool: a leaf's, which spells a fact of the text, not the text


def query_states(
    model: GraphMERTModel, pairs: Sequence[FunctionPair], tokenizer: Tokenizer
) -> TextStates:
    """Return the states of queries, read as windows without leaves."""
    encoded = tokenizer.encode_batch([pair.query for pair in pairs], add_special_tokens=False)
    batch = plain_windows(
        [each.ids for each in encoded],
        *_start_and_end(tokenizer),
        model.config.layout,
        model.device,
    )
    return _text_states(model, batch, torch.arange(len(pairs)), len(pairs))


def code_states(
    model: GraphMERTModel, pairs: Sequence[FunctionPair], table: WindowTable
) -> TextStates:
    """Return the states of functions without their docstrings, and of the leaves of their windows
    in `table`, but for those that hang on what is cut."""
    windows = [window for pair in pairs for window in pair.windows]
    owners = torch.repeat_interleave(torch.tensor([len(pair.windows) for pair in pairs]))
    cuts = torch.tensor([[cut.start, cut.stop] for pair in pairs for cut in pair.cuts])
    batch = table.batch(windows)
    first, end = cuts.to(batch.root_windows.device)[batch.root_windows].T
    is_cut = (batch.root_index >= first) & (batch.root_index < end)
    return _text_states(model, cut_roots(batch, is_cut), owners, len(pairs))


def cosine_of_means(queries: TextStates, codes: TextStates) -> Tensor:
    """Return (P, P'): the cosine of the mean state of each query and of each function, over their
    own tokens."""
    means = [F.normalize(_mean_of_own(each), dim=-1) for each in (queries, codes)]
    return means[0] @ means[1].T


def late_interaction(queries: TextStates, codes: TextStates) -> Tensor:
    """Return (P, P'): the mean over a query's tokens of the highest cosine with a token of the
    function or of its leaves (ColBERT's score, Khattab and Zaharia 2020, over the number of the
    query's tokens): a word of a query may be what only a leaf says, such as the function's class.
    """
    asked, read = (F.normalize(each.states, dim=-1) for each in (queries, codes))
    padded = pad_sequence(read.split(codes.lengths.tolist()), True)  # (P', T, C)
    cosines = (padded @ asked.T).float()  # (P', T, S)
    places = torch.arange(padded.shape[1], device=padded.device)
    is_padding = places >= codes.lengths[:, None]  # (P', T)
    highest = cosines.masked_fill(is_padding[:, :, None], -2.0).amax(dim=1)  # (P', S)
    return torch.segment_reduce(highest.T.contiguous(), "mean", lengths=queries.lengths)


def _mean_of_own(texts: TextStates) -> Tensor:
    is_own = ~texts.is_leaf
    numbers = torch.arange(len(texts.lengths), device=is_own.device)
    owners = torch.repeat_interleave(numbers, texts.lengths)[is_own]
    lengths = torch.bincount(owners, minlength=len(numbers))
    return torch.segment_reduce(texts.states[is_own], "mean", lengths=lengths)


def _start_and_end(tokenizer: Tokenizer) -> tuple[int, int]:
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    assert start is not None
    assert end is not None  # the builder refuses a tokenizer without them
    return start, end


def _text_states(
    model: GraphMERTModel, batch: RaggedBatch, owners: Tensor, num_texts: int
) -> TextStates:
    """Return the final states of each text's windows: of its own tokens, then of leaves. `owners`
    (W,) says which text a window is of, ascending."""
    is_own = batch.root_bytes > 0  # no <s>, no </s>, no synthetic name
    masked = replace(  # labels mark what is asked for
        unmasked(batch),
        mlm_labels=batch.root_ids.masked_fill(~is_own, NO_LABEL),
        leaf_labels=batch.leaf_ids,
    )
    # Where attention is fused, on a GPU, windows share a row: no padding.
    in_rows = pack_one_row if model.device.type == "cuda" else pack
    rows = in_rows(batch, masked).to(model.device)
    places = torch.cat([rows.mlm_tokens, rows.tail_tokens])
    leaf_windows = batch.leaf_windows[: len(rows.tail_tokens)]  # all, or none: facts are text
    windows = torch.cat([batch.root_windows[is_own], leaf_windows])
    texts, order = owners.to(windows.device)[windows].sort(stable=True)
    order = order.to(places.device)
    return TextStates(
        states=model.encode(rows.inputs).flatten(0, 1)[places[order]].float(),
        lengths=torch.bincount(texts, minlength=num_texts).to(places.device),
        is_leaf=order >= len(rows.mlm_tokens),
    )
