"""The embedded default: sources that need no network after the install, and sizes to fit them.

Chosen so that clone, install and this run end within 10 minutes on two cores (README, "The two
commands").
"""

from typing import Final

TRAIN_SOURCES: Final = (
    "installed:networkx",
    "installed:rich",
    "installed:jinja2",
    "installed:werkzeug",
    "installed:requests",
    "installed:starlette",
)
VALIDATION_SOURCES: Final = ("installed:click", "installed:httpx")
TEST_SOURCES: Final = ("installed:flask",)

VOCAB_SIZE: Final = 8_192  # token ids
PRESET: Final = "tiny"
NUM_EPOCHS: Final = 3
BATCH_SIZE: Final = 32  # windows of one update
LEARNING_RATE: Final = 1e-3
MLM_WEIGHT: Final = 0.9  # of the MLM loss; the MNM loss has the rest
SEED: Final = 0
