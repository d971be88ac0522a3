"""The model registry: versions of `graphmert`, the aliases candidate and champion, and the gate.

A checkpoint becomes a version, `candidate` points to it, and `decide` says from two evaluations on
the same validation set whether it becomes `champion`.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path

from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.checkpoints import MODEL_NAME, copy_model, create_model
from graphmert.tracking.store import open_client

REGISTERED_NAME = MODEL_NAME
CANDIDATE = "candidate"
CHAMPION = "champion"
DESCRIPTION = (
    "GraphMERT code encoder. `champion` is the version with the best validation scores so far, "
    "`candidate` the last one that did not beat it; the tag gate_reason says why."
)
# What the served model needs besides the code that travels with it.
REQUIREMENTS = (
    "mlflow",
    "networkx",
    "numpy",
    "pyarrow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "tree-sitter",
    "tree-sitter-python",
)


@dataclass(frozen=True)
class Version:
    """One version of the registered model."""

    number: str
    run_id: str
    tags: dict[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{REGISTERED_NAME}/{self.number}"


@dataclass(frozen=True)
class Decision:
    """What the gate says of a candidate."""

    promote: bool
    reason: str

    @property
    def alias(self) -> str:
        return CHAMPION if self.promote else CANDIDATE


def decide(
    candidate: EvaluationReport,
    champion: EvaluationReport | None,
    champion_error: str | None = None,
) -> Decision:
    """Compare a candidate with the champion, both evaluated on the same validation set.

    It is promoted where there is no champion, or where bits per byte and relation macro-F1 are
    both at least as good and one is better. `champion_error` says why a champion that exists could
    not be evaluated.
    """
    bits, macro_f1 = candidate.bits_per_byte, candidate.relation_macro_f1
    if not (math.isfinite(bits) and math.isfinite(macro_f1)):
        return Decision(False, "the candidate's scores are not finite")
    if champion_error is not None:
        return Decision(False, f"the champion could not be evaluated: {champion_error}")
    scores = f"bits per byte {bits:.4f}, relation macro-F1 {macro_f1:.4f}"
    if champion is None:
        return Decision(True, f"first model: {scores}")
    against = f"{scores} against {champion.bits_per_byte:.4f}, {champion.relation_macro_f1:.4f}"
    is_worse = bits > champion.bits_per_byte or macro_f1 < champion.relation_macro_f1
    is_better = bits < champion.bits_per_byte or macro_f1 > champion.relation_macro_f1
    if is_better and not is_worse:
        return Decision(True, f"better: {against}")
    return Decision(False, f"{'worse in one' if is_better else 'no better'}: {against}")


def register_checkpoint(run_id: str, checkpoint: Path, tags: Mapping[str, str]) -> Version:
    """Log a checkpoint as a model of the run and register it as the new `candidate`.

    Raises RuntimeError where MLflow did not take the whole model.
    """
    from mlflow.entities import LoggedModelStatus  # noqa: PLC0415

    client = open_client()
    model_id = _log_model(run_id, checkpoint, tags)
    status = client.get_logged_model(model_id).status
    if status != LoggedModelStatus.READY:
        raise RuntimeError(f"model {model_id} of run {run_id} is {status}, not READY: log it again")
    _ensure_registered_model()
    made = client.create_model_version(
        REGISTERED_NAME,
        f"models:/{model_id}",
        run_id,
        tags=dict(tags),
        description=client.get_run(run_id).info.run_name,
        model_id=model_id,
    )
    number = str(made.version)
    client.set_registered_model_alias(REGISTERED_NAME, CANDIDATE, number)
    return Version(number, run_id, dict(tags))


def apply(version: Version, decision: Decision) -> None:
    """Write the gate's decision and reason on the version and its run, and move the aliases."""
    client = open_client()
    for name, value in (("gate", decision.alias), ("gate_reason", decision.reason)):
        client.set_model_version_tag(REGISTERED_NAME, version.number, name, value)
        client.set_tag(version.run_id, name, value)
    if decision.promote:
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version.number)
        client.delete_registered_model_alias(REGISTERED_NAME, CANDIDATE)


def find_champion() -> Version | None:
    """Return the version that `champion` points to; None where there is none yet."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        found = open_client().get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return Version(str(found.version), str(found.run_id), dict(found.tags))


def download_checkpoint(version: Version, into: Path) -> Path:
    """Copy a version's checkpoint below `into` and return its folder.

    Raises an MlflowException or OSError where the artifacts cannot be had.
    """
    open_client()
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415

    into.mkdir(parents=True, exist_ok=True)
    model = Path(download_artifacts(artifact_uri=version.uri, dst_path=str(into)))
    return model / "artifacts" / "checkpoint"


def _log_model(run_id: str, checkpoint: Path, tags: Mapping[str, str]) -> str:
    """Log the checkpoint in models-from-code form; return the logged model's id."""
    import mlflow.pyfunc  # noqa: PLC0415
    from mlflow.models import Model  # noqa: PLC0415

    from graphmert.tracking import served_model  # noqa: PLC0415

    model_id = create_model(run_id, checkpoint, tags)
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_model(checkpoint, Path(scratch) / "checkpoint")
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            model_id=model_id,
            python_model=served_model.__file__,
            artifacts={"checkpoint": str(folder)},
            code_paths=[_package_folder(name) for name in ("graphmert", "graph_builder")],
            pip_requirements=[f"{name}=={installed_version(name)}" for name in REQUIREMENTS],
            input_example=served_model.INPUT_EXAMPLE,
        )
    return model_id


def _package_folder(name: str) -> str:
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    return str(spec.submodule_search_locations[0])


def _ensure_registered_model() -> None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        open_client().create_registered_model(REGISTERED_NAME, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
