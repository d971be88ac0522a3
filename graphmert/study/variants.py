"""The variants of the graph study: what each changes, all else being equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graph_builder.errors import UserError
from graphmert.data.leaf_choice import LeafChoice


@dataclass(frozen=True)
class Variant:
    """One model of the study, by what tells it from the full one."""

    name: str
    meaning: str
    leaves: LeafChoice = LeafChoice.BOTH
    are_facts_text: bool = False  # lines after the code in place of leaves
    model: Mapping[str, Any] = field(default_factory=dict)  # fields of GraphMERTConfig
    training: Mapping[str, Any] = field(default_factory=dict)  # fields of TrainSettings
    masks: Mapping[str, Any] = field(default_factory=dict)  # fields of MaskSettings


PAPERS_DECAY: Final[dict[str, Any]] = {"decay_form": "product", "decay_last_initial_p": 1.0}
NO_MNM: Final[dict[str, Any]] = {"training": {"lambda_mlm": 1.0}, "masks": {"mnm_share": 0.0}}
FULL: Final = Variant("full", "local and knowledge leaves, H-GAT, decay, MLM 0.7 and MNM 0.3")
NO_LEAVES: Final = Variant("no leaves", "code alone, MLM alone", leaves=LeafChoice.NONE, **NO_MNM)
SHUFFLED: Final = Variant(
    "shuffled", "knowledge leaves exchanged between windows", LeafChoice.SHUFFLED
)
NO_HGAT: Final = Variant("no H-GAT", "a leaf is its own tokens alone", model={"use_hgat": False})
MAIN: Final = (FULL, NO_LEAVES, SHUFFLED, NO_HGAT)
OTHERS: Final = (
    Variant("no knowledge", "local leaves alone", LeafChoice.LOCAL),
    Variant("no local", "knowledge leaves alone", LeafChoice.KNOWLEDGE),
    Variant("facts as text", "knowledge as lines after the code", are_facts_text=True, **NO_MNM),
    Variant("no MNM", "knowledge leaves as input, MLM alone", **NO_MNM),
    *(
        Variant(f"MLM {mlm}", f"MLM {mlm} and MNM {mnm}", training={"lambda_mlm": mlm})
        for mlm, mnm in ((0.98, 0.02), (0.95, 0.05), (0.9, 0.1), (0.8, 0.2), (0.6, 0.4))
    ),
    Variant("MNM of 15%", "MNM asks for 15% of the triples (paper)", masks={"mnm_share": 0.15}),
    Variant(
        "MNM of tails",
        "MNM asks for the leaves' tokens (paper)",
        masks={"mnm_target": "tails", "mnm_share": 0.15},
    ),
    Variant("two passes", "one pass for each objective", training={"is_two_passes": True}),
    Variant("no mark", "knowledge looks as local leaves", model={"use_knowledge_mark": False}),
    Variant("root alone", "the relation head reads the root", model={"relation_input": "root"}),
    Variant("multiplied decay", "score times decay (paper)", model=PAPERS_DECAY),
    Variant("equal p", "p starts at 1 in every head", model={"decay_last_initial_p": 1.0}),
    Variant("frozen p", "p stays as it starts", model={"is_decay_learnable": False}),
    Variant("no decay", "plain attention", model={"use_decay": False}),
    Variant(
        "roots not joined",
        "score times 0 but within a root and its leaves",
        model={**PAPERS_DECAY, "are_roots_joined": False},
    ),
)
VARIANTS: Final = (*MAIN, *OTHERS)


def find_variant(name: str) -> Variant:
    """Return the variant of this name; raise UserError where there is none."""
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    names = ", ".join(variant.name for variant in VARIANTS)
    raise UserError(f"{name!r} is no variant: choose one of {names}")
