"""The settings of a study: the same for all its variants."""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from graph_builder.errors import UserError
from graphmert.data.dataset import mask_token_id
from graphmert.evaluation.tuning import TuneSettings
from graphmert.models import configuration
from graphmert.models.configuration import PRESETS, GraphMERTConfig
from graphmert.study.data import StudyData
from graphmert.study.variants import Variant
from graphmert.training.masking import MaskSettings
from graphmert.training.settings import TrainSettings, check_positive

TUNE_UPDATES: Final = ("search_updates", "misuse_updates", "tail_updates")


@dataclass(frozen=True)
class StudySettings:
    """How long every variant trains, and how much it is asked."""

    preset: str = "paper"
    num_updates: int = 4000
    batch_size: int = 256  # windows of an update
    learning_rate: float = 1e-3  # highest
    warmup_share: float = 0.15  # of the updates
    base_updates: int = 0  # of code alone, which all variants of a seed go on from
    base_learning_rate: float = 1e-3  # highest, of these
    num_questions: int = 2000  # of each task and split
    num_examples: int = 35_000  # that the tasks with a fine-tune draw from the train split
    search_updates: int = 400  # of each fine-tune; 0: what needs it is not asked
    misuse_updates: int = 600
    tail_updates: int = 100  # few: what is asked for is what training gave, not what this one does
    tune_batch_size: int = 96
    tune_learning_rate: float = 3e-4

    def __post_init__(self) -> None:
        for name in ("num_updates", "num_questions", "num_examples"):
            check_positive(name, getattr(self, name))
        TrainSettings(**self._of_training)  # which refuses what does not fit
        if self.preset not in PRESETS:
            raise UserError(f"--preset {self.preset!r}: choose one of {', '.join(PRESETS)}")
        for name in (*TUNE_UPDATES, "base_updates"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name} {getattr(self, name)}: must not be negative")
        check_positive("base_learning_rate", self.base_learning_rate)

    def masks(self, data: StudyData) -> MaskSettings:
        return MaskSettings(mask_token_id=mask_token_id(data.tokenizer, "the data set"))

    def training(self, data: StudyData, variant: Variant, seed: int) -> TrainSettings:
        """Return the settings of one run."""
        masks = MaskSettings(mask_token_id=self.masks(data).mask_token_id, **variant.masks)
        own = self._of_training | dict(variant.training)
        return TrainSettings(seed=seed, masks=masks, **own)

    @property
    def of_base(self) -> "StudySettings":
        """The settings that the base is trained with."""
        return replace(
            self,
            num_updates=self.base_updates,
            learning_rate=self.base_learning_rate,
            base_updates=0,
        ).untuned

    @property
    def untuned(self) -> "StudySettings":
        """These settings without any fine-tune."""
        return replace(self, search_updates=0, misuse_updates=0, tail_updates=0)

    @property
    def _of_training(self) -> dict[str, Any]:
        """The fields of TrainSettings that all variants share."""
        names = ("batch_size", "learning_rate", "warmup_share")
        return {name: getattr(self, name) for name in names}

    def model(self, data: StudyData, variant: Variant) -> GraphMERTConfig:
        """Return the configuration of one variant's model for windows of the data's layout."""
        config: GraphMERTConfig = getattr(configuration, self.preset)(data.vocab_size)
        layout = data.train.layout
        sizes = {"num_roots": layout.num_roots, "leaves_per_root": layout.leaves_per_root}
        return GraphMERTConfig.from_dict(config.to_dict() | sizes | dict(variant.model))

    def made_with(self, data: StudyData, variant: Variant) -> dict[str, Any]:
        """Return all settings of one variant's model and training, as JSON has them."""
        model = self.model(data, variant).to_dict()
        training = asdict(self.training(data, variant, seed=0))
        del model["transformers_version"], training["seed"]
        plain: dict[str, Any] = json.loads(json.dumps({"model": model, "training": training}))
        return plain

    def tuning(self, num_updates: int, seed: int) -> TuneSettings:
        """Return the settings of a fine-tune of so many updates."""
        return TuneSettings(
            num_updates=num_updates,
            batch_size=self.tune_batch_size,
            learning_rate=self.tune_learning_rate,
            seed=seed,
        )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each of the study's settings."""
    for name, value in asdict(StudySettings()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="(%(default)s)")


def settings_of(options: argparse.Namespace) -> StudySettings:
    """Return what those flags say; raise UserError where it cannot be."""
    return StudySettings(**{name: getattr(options, name) for name in StudySettings.__annotations__})
