"""Types of the flows' parameters: what a form or a command line may ask for, checked up front.

Prefect takes a parameter's description from the flow's docstring and its limits from these types,
and refuses a wrong value before anything runs.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from graph_builder.source_spec import parse_spec


def checked_spec(text: str) -> str:
    """Return the spec as it is; raise UserError, a ValueError, for an unknown kind of source."""
    parse_spec(text)
    return text


# What a form can check by itself, before a run is made; `checked_spec` has the last word.
FORM_PATTERN = r"^(stdlib|path:.+|installed:.+|git\+.+@.+|pypi:.+==.+)$"

SourceSpec = Annotated[
    str, AfterValidator(checked_spec), Field(json_schema_extra={"pattern": FORM_PATTERN})
]
SourceSpecs = tuple[SourceSpec, ...]
Preset = Literal["tiny", "small", "paper", "codebert"]
Split = Literal["train", "validation", "test"]
EvaluationTask = Literal[
    "tokens_without_leaves",
    "identifier_completion",
    "tail_prediction",
    "code_search",
    "variable_misuse",
]
VocabularySize = Annotated[int, Field(ge=300, le=65_535)]
NumEpochs = PositiveInt
BatchSize = PositiveInt
LearningRate = PositiveFloat
MlmWeight = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0)]
TimeLimit = PositiveFloat | None
StartFrom = Literal["scratch", "champion"] | None
