"""Variable misuse: is a variable of a function swapped, which one, and what should stand there?

A probe: a small head on a copy of the encoder, both trained for a while on samples of the train
split (`misuse_samples.py`), scored on those of a held-out one.
Legend: S samples of a batch, each a row of N tokens; U uses, M mentions, Y variables of the sample
with the most of them; C hidden size.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.measures import Measures, TaskReport, measure, window_sources
from graphmert.evaluation.misuse_samples import READ_FROM_USES, MisuseSample
from graphmert.evaluation.questions import unmasked
from graphmert.evaluation.ranking import BoolArray, FloatArray
from graphmert.evaluation.tuning import (
    TuneSettings,
    asking,
    copy_model,
    own_randomness,
    tune,
)
from graphmert.models.graphmert import GraphMERTModel

SAMPLES_PER_BATCH = 128
NEVER = -1e9  # finite, so that where nothing is possible gradients are 0, not undefined
NO_ANSWER = -100  # what torch's cross entropy leaves out


class MisuseHead(nn.Module):
    """Scores of places and of variables, from the encoder's final states."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.place = nn.Linear(hidden_size, 1)  # of a use: is it swapped?
        self.sound = nn.Linear(hidden_size, 1)  # of <s>: is nothing?
        self.wanted = nn.Linear(hidden_size, hidden_size)  # of a place: what belongs here?

    def forward(self, hidden: Tensor, asked: "AskedPlaces") -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of "nothing" and of each use (S, 1 + U), and, for the use
        that is swapped, of each variable (S, Y)."""
        sample = torch.arange(len(hidden), device=hidden.device)[:, None]
        uses, mentions = hidden[sample, asked.uses], hidden[sample, asked.mentions]  # (S, ., C)
        places = torch.cat([self.sound(hidden[:, 0]), self.place(uses)[..., 0]], dim=1).float()
        wanted = self.wanted(hidden[sample[:, 0], asked.swapped_roots])  # (S, C)
        scores = (mentions @ wanted[:, :, None])[..., 0].float() / hidden.shape[-1] ** 0.5
        # A variable's share is the sum of its mentions': logsumexp over those that say it.
        numbers = torch.arange(asked.num_variables, device=hidden.device)
        says = asked.variables[:, :, None] == numbers  # (S, M, Y)
        by_variable = scores[:, :, None].masked_fill(~says, NEVER)
        return (
            places.masked_fill(~asked.is_place, NEVER).log_softmax(dim=-1),
            by_variable.logsumexp(dim=1).log_softmax(dim=-1),
        )


@dataclass(frozen=True)
class AskedPlaces:
    """The places of S samples, padded; indices of roots."""

    uses: Tensor  # (S, U)
    is_place: Tensor  # (S, 1 + U) bool: "nothing", and uses that are there
    swapped: Tensor  # (S,) 0 nothing, 1 + use
    swapped_roots: Tensor  # (S,) the swapped use; <s> where none is
    mentions: Tensor  # (S, M)
    variables: Tensor  # (S, M) Y for padding and for what the swapped use says, which is no answer
    num_variables: int  # Y
    answers: Tensor  # (S,) variable; -100 where nothing is swapped

    @classmethod
    def of(cls, samples: list[MisuseSample], device: torch.device) -> "AskedPlaces":
        num_variables = max(max(sample.variables) for sample in samples) + 1
        uses = _padded([sample.uses for sample in samples], 0)
        num_uses = torch.tensor([len(sample.uses) for sample in samples])
        said = torch.tensor([sample.said for sample in samples])[:, None]
        variables = _padded([sample.variables for sample in samples], num_variables)
        return cls(
            uses=uses.to(device),
            is_place=(torch.arange(1 + uses.shape[1]) <= num_uses[:, None]).to(device),
            swapped=torch.tensor([1 + sample.swapped for sample in samples]).to(device),
            swapped_roots=torch.tensor([_swapped_root(each) for each in samples]).to(device),
            mentions=_padded([sample.mentions for sample in samples], 0).to(device),
            variables=torch.where(variables == said, num_variables, variables).to(device),
            num_variables=num_variables,
            answers=torch.tensor(
                [sample.answer if sample.swapped >= 0 else NO_ANSWER for sample in samples]
            ).to(device),
        )


@dataclass(frozen=True)
class MisuseProbe:
    """A tuned encoder and its head."""

    model: GraphMERTModel
    head: MisuseHead


def tune_misuse(
    model: GraphMERTModel,
    samples: list[MisuseSample],
    table: WindowTable,
    settings: TuneSettings,
) -> MisuseProbe:
    """Train a head on a copy of the model, and the copy with it. `table` is of the train split, the
    one that the samples are of, with whichever leaves."""
    probe = MisuseProbe(copy_model(model), _new_head(model, settings.seed))

    def loss_of(chosen: Tensor) -> Tensor:
        part = [samples[at] for at in chosen.tolist()]
        places, variables, asked = _answers(probe, part, table)
        located = F.nll_loss(places, asked.swapped)
        repaired = F.nll_loss(variables, asked.answers, reduction="sum", ignore_index=NO_ANSWER)
        return located + repaired / (asked.answers != NO_ANSWER).sum().clamp(min=1)

    tune([probe.model, probe.head], len(samples), loss_of, settings)
    return probe


def score_misuse(probe: MisuseProbe, samples: list[MisuseSample], table: WindowTable) -> TaskReport:
    """Locate and repair in held-out samples of `table`."""
    places, variables = [], []
    with asking(probe.model):
        for start in range(0, len(samples), SAMPLES_PER_BATCH):
            part = samples[start : start + SAMPLES_PER_BATCH]
            place_scores, variable_scores, _ = _answers(probe, part, table)
            places.append(place_scores.argmax(dim=-1).cpu().numpy())
            variables.append(variable_scores.argmax(dim=-1).cpu().numpy())
    swapped = np.array([sample.swapped for sample in samples])
    answers = np.array([sample.answer for sample in samples])
    sources = window_sources(table)[[sample.window for sample in samples]]
    is_located = np.concatenate(places) == 1 + swapped
    is_repaired = np.concatenate(variables) == answers
    num_uses = np.array([len(sample.uses) for sample in samples])
    num_other = np.array([len(set(sample.variables) - {sample.said}) for sample in samples])
    by_chance = 1 / (1 + num_uses), 1 / np.maximum(num_other, 1)
    most_named = np.array([_most_named(sample) for sample in samples]) == answers
    is_sound = swapped < 0
    return TaskReport(
        measures=_measures(is_sound, sources, is_located, is_repaired, is_located * is_repaired),
        baselines={
            "chance": _measures(is_sound, sources, *by_chance, by_chance[0] * by_chance[1]),
            "majority": _measures(
                is_sound, sources, is_sound, most_named, np.zeros(len(samples), dtype=np.bool_)
            ),
        },
        counts={
            "num_samples": float(len(samples)),
            "num_swapped": float((~is_sound).sum()),
            "uses_per_sample": float(num_uses.mean()),
        },
    )


def _answers(
    probe: MisuseProbe, samples: list[MisuseSample], table: WindowTable
) -> tuple[Tensor, Tensor, AskedPlaces]:
    """Return the head's log-probabilities and the places that they are about."""
    batch = swapped_batch(samples, table)
    is_from_uses = torch.isin(
        batch.triple_relations, torch.tensor(READ_FROM_USES, device=batch.triple_relations.device)
    )
    is_hidden = is_from_uses[batch.leaf_triples]
    rows = pack(batch, replace(unmasked(batch), leaf_is_hidden=is_hidden)).to(probe.model.device)
    asked = AskedPlaces.of(samples, probe.model.device)
    hidden = probe.model.encode(rows.inputs)  # (S, N, C), the window's roots first
    return *probe.head(hidden, asked), asked


def swapped_batch(samples: list[MisuseSample], table: WindowTable) -> RaggedBatch:
    """Return the windows of the samples, with the tokens of what is swapped in its place."""
    batch = table.batch([sample.window for sample in samples])
    firsts = torch.searchsorted(batch.root_windows.cpu(), torch.arange(len(samples))).tolist()
    roots = [
        first + root
        for first, sample in zip(firsts, samples, strict=True)
        for root in sample.swapped_roots
    ]
    ids = [token for sample in samples for token in sample.swapped_ids]
    root_ids = batch.root_ids.clone()
    root_ids[torch.tensor(roots, dtype=torch.int64, device=root_ids.device)] = torch.tensor(
        ids, dtype=torch.int64, device=root_ids.device
    )
    return replace(batch, root_ids=root_ids)


def _new_head(model: GraphMERTModel, seed: int) -> MisuseHead:
    with own_randomness(model.device):
        torch.manual_seed(seed)
        return MisuseHead(model.config.hidden_size).to(model.device)


def _measures(
    is_sound: BoolArray,
    sources: np.ndarray,
    located: BoolArray | FloatArray,
    repaired: BoolArray | FloatArray,
    both: BoolArray | FloatArray,
) -> Measures:
    """Return the share of samples whose place is told, a use or nothing: a probe that says
    "nothing" too often loses at one kind what it gains at the other. Then of sound samples left
    alone and, of the swapped ones, of those located, repaired where the place is told, and both.
    """
    return {
        "place_accuracy": measure(located, sources),
        "sound_accuracy": measure(located[is_sound], sources[is_sound]),
        "location_accuracy": measure(located[~is_sound], sources[~is_sound]),
        "repair_accuracy": measure(repaired[~is_sound], sources[~is_sound]),
        "joint_accuracy": measure(both[~is_sound], sources[~is_sound]),
    }


def _most_named(sample: MisuseSample) -> int:
    """Return the variable with the most mentions but what the swapped use says, the first of
    equals."""
    others = Counter(each for each in sample.variables if each != sample.said)
    return others.most_common(1)[0][0]


def _swapped_root(sample: MisuseSample) -> int:
    return sample.uses[sample.swapped] if sample.swapped >= 0 else 0


def _padded(runs: list[tuple[int, ...]], padding: int) -> Tensor:
    """Return (S, longest), padded at the end."""
    return pad_sequence([torch.tensor(run) for run in runs], True, padding)
