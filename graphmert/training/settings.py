"""What a training run is told: every number that decides its outcome, and where it runs."""

from dataclasses import dataclass, field

from graph_builder.errors import UserError
from graphmert.training.masking import MaskSettings


@dataclass(frozen=True)
class TrainSettings:
    """Settings that decide the outcome: a resumed run must have the same ones."""

    num_epochs: int = 15
    batch_size: int = 32  # windows of one forward pass, of all processes together
    gradient_accumulation: int = 1  # forward passes of one update
    learning_rate: float = 2e-4  # highest, at the end of the warm-up
    min_learning_rate_share: float = 0.05  # of the highest: where the cosine ends
    warmup_share: float = 0.05  # of all updates
    weight_decay: float = 0.02  # decoupled; not on norms, biases and other vectors
    betas: tuple[float, float] = (0.9, 0.98)  # of AdamW; RoBERTa's (Liu et al. 2019)
    max_gradient_norm: float = 1.0  # over all parameters, both heads included
    lambda_mlm: float = 0.7  # weight of MLM; MNM has the rest
    is_two_passes: bool = False  # one forward pass for each objective
    seed: int = 0  # of weights, order, masks and dropout
    masks: MaskSettings = field(default_factory=MaskSettings)

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "gradient_accumulation", "learning_rate"):
            check_positive(name, getattr(self, name))
        if not 0.0 <= self.lambda_mlm <= 1.0:
            raise UserError(f"--lambda_mlm {self.lambda_mlm}: must be between 0 and 1")
        if not self.weight_decay >= 0:
            raise UserError(f"--weight_decay {self.weight_decay}: must not be negative")
        if not 0.0 <= self.warmup_share < 1.0:
            raise UserError(f"--warmup_share {self.warmup_share}: must be at least 0, less than 1")
        if not 0 <= self.seed < 1 << 63:
            raise UserError(f"--seed {self.seed}: must be at least 0, less than 2 ** 63")

    @property
    def windows_per_update(self) -> int:
        return self.batch_size * self.gradient_accumulation


@dataclass(frozen=True)
class RunSettings:
    """Settings that change where and how a run goes; what comes out differs by rounding alone."""

    device: str = "cpu"
    is_bf16: bool = False  # bf16 autocast
    checkpoint_every: int = 1  # epochs
    log_every: int = 20  # updates
    num_processes: int = 1  # that share each update's windows

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "log_every"):
            check_positive(name, getattr(self, name))


def check_positive(name: str, value: float) -> None:
    """Raise UserError, which names the flag, unless `value` is greater than 0."""
    if not value > 0:
        raise UserError(f"--{name} {value}: must be greater than 0")
