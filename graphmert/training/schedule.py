"""The learning rate of each update: a linear warm-up, then a cosine down to a minimum."""

import math

from graphmert.training.settings import TrainSettings


def learning_rate(settings: TrainSettings, step: int, num_steps: int) -> float:
    """Return the rate of update `step` (0-based) of `num_steps`."""
    highest = settings.learning_rate
    lowest = highest * settings.min_learning_rate_share
    num_warmup = int(settings.warmup_share * num_steps)
    if step < num_warmup:
        return highest * (step + 1) / num_warmup
    progress = (step - num_warmup) / max(1, num_steps - 1 - num_warmup)
    return lowest + (highest - lowest) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
