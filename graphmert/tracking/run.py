"""One MLflow run: its start and end, parameters, data set, evaluation and figures.

Callers pass run ids, not an active run: the steps of a pipeline are separate processes and may be
retried one by one.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from graph_builder.dataset import open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS, Manifest
from graph_builder.record import SCHEMA
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.store import EXPERIMENT, experiment_id, open_client, use_store

DATASET_NAME = "graphmert-chain-graphs"
MAX_PARAMETERS_PER_CALL = 100  # this and the lengths below are MLflow's limits
MAX_PARAMETER_LENGTH = 6000
MAX_SOURCE_LENGTH = 65_535
MAX_DIGEST_LENGTH = 36


def start_run(
    run_name: str,
    tags: Mapping[str, str] | None = None,
    parameters: Mapping[str, object] | None = None,
    experiment: str = EXPERIMENT,
) -> str:
    """Create a run that is RUNNING and return its id."""
    client = open_client()
    run = client.create_run(
        experiment_id(client, experiment), tags=dict(tags or {}), run_name=run_name
    )
    run_id = str(run.info.run_id)
    log_parameters(run_id, parameters or {})
    return run_id


def find_runs(tag: str, value: str, experiment: str = EXPERIMENT) -> dict[str, dict[str, str]]:
    """Return the tags of every run with a tag of this value by its id, the newest first."""
    return _search(f"tags.`{tag}` = '{value}'", experiment)


def running_runs(experiment: str = EXPERIMENT) -> dict[str, dict[str, str]]:
    """Return the tags of every run that is RUNNING, or says so, by its id."""
    return _search("attributes.status = 'RUNNING'", experiment)


def _search(criterion: str, experiment: str) -> dict[str, dict[str, str]]:
    client = open_client()
    found = client.search_runs(
        [experiment_id(client, experiment)], criterion, order_by=["attributes.start_time DESC"]
    )
    return {str(run.info.run_id): dict(run.data.tags) for run in found}


def reopen_run(run_id: str, tags: Mapping[str, str]) -> None:
    """Let a run that had ended be RUNNING again, with these tags."""
    open_client().update_run(run_id, status="RUNNING")
    tag_run(run_id, tags)


def tag_run(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run."""
    client = open_client()
    for name, value in tags.items():
        client.set_tag(run_id, name, value)


def run_page(run_id: str) -> str | None:
    """Return the address of a run's page; None where the store is no server."""
    uri = use_store()
    if not uri.startswith("http"):
        return None
    experiment = open_client().get_run(run_id).info.experiment_id
    return f"{uri}/#/experiments/{experiment}/runs/{run_id}"


def end_run(run_id: str, status: str = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    open_client().set_terminated(run_id, status)


def log_parameters(run_id: str, parameters: Mapping[str, object]) -> None:
    """Log nested parameters under dotted names; those that the run already has stay as they are.

    (MLflow refuses to change a parameter, and a resumed run may well differ in one.)
    """
    from mlflow.entities import Param  # noqa: PLC0415

    client = open_client()
    known = client.get_run(run_id).data.params
    new = [
        Param(name, value[:MAX_PARAMETER_LENGTH])
        for name, value in flatten(parameters).items()
        if name not in known
    ]
    for start in range(0, len(new), MAX_PARAMETERS_PER_CALL):
        client.log_batch(run_id, params=new[start : start + MAX_PARAMETERS_PER_CALL])


def flatten(parameters: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return nested mappings as one, names joined with dots, values as strings."""
    flat: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


def log_dataset(run_id: str, dataset_dir: Path, context: str = "training") -> None:
    """Log a data set as an input of the run, with its digest, sources, columns and sizes."""
    from mlflow.entities import Dataset as DatasetEntity  # noqa: PLC0415
    from mlflow.entities import DatasetInput, InputTag  # noqa: PLC0415

    manifest = open_dataset(dataset_dir).manifest
    entity = DatasetEntity(
        name=DATASET_NAME,
        digest=manifest.digest[:MAX_DIGEST_LENGTH],
        source_type="graph-builder",
        source=_source_json(manifest),
        schema=_schema_json(),
        profile=json.dumps(dataset_profile(manifest)),
    )
    inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", context)])]
    open_client().log_inputs(run_id, inputs)
    tag_run(run_id, dataset_tags(manifest))


def dataset_tags(manifest: Manifest) -> dict[str, str]:
    """Return the tags that say of a run or a version what it was trained on, and who built that."""
    parts = (f"{name} {version}" for name, version in manifest.builder.items())
    return {"data_set_digest": manifest.digest, "builder_version": ", ".join(parts)}


def dataset_profile(manifest: Manifest) -> dict[str, int]:
    """Return the sizes of a data set, flat."""
    return {
        "num_sources": len(manifest.sources),
        "num_files": sum(source.num_files for source in manifest.sources),
        "num_triples": sum(source.num_triples for source in manifest.sources),
        "num_rejected_files": sum(len(source.rejected) for source in manifest.sources),
        "vocab_size": manifest.tokenizer.vocab_size,
        **{f"num_{split}_windows": manifest.num_windows(split) for split in SPLITS},
    }


def _source_json(manifest: Manifest) -> str:
    sources = [
        {"source": source.source, "revision": source.revision, "split": source.split}
        for source in manifest.sources
    ]
    text = json.dumps({"builder": manifest.builder, "sources": sources})
    if len(text) > MAX_SOURCE_LENGTH:  # hundreds of sources: the manifest has them all
        text = json.dumps({"builder": manifest.builder, "num_sources": len(sources)})
    return text


def _schema_json() -> str:
    """Return the record's columns in the form that the MLflow UI draws."""
    columns = [
        {"name": field.name, "type": str(field.type), "required": not field.nullable}
        for field in SCHEMA
    ]
    return json.dumps({"mlflow_colspec": columns})


def log_evaluation(run_id: str, report: EvaluationReport, prefix: str, step: int = 0) -> None:
    """Log a report: metrics as `prefix/name`, the whole as JSON, its figures drawn."""
    from mlflow.entities import Metric  # noqa: PLC0415

    from graphmert.evaluation.figures import draw_report  # noqa: PLC0415

    client = open_client()
    now_ms = int(time.time() * 1000)
    metrics = [
        Metric(f"{prefix}/{name}", value, now_ms, step) for name, value in report.metrics().items()
    ]
    client.log_batch(run_id, metrics=metrics)
    client.log_text(run_id, report.to_json(), f"{prefix}/report.json")
    for name, figure in draw_report(report).items():
        client.log_figure(run_id, figure, f"{prefix}/{name}")


def evaluation_name(checkpoint: Path, split: str, digest: str) -> str:
    """Return the name of a run that evaluates a checkpoint on a data set of that digest."""
    return f"evaluation of {checkpoint.resolve().name} on {split}, data {digest[:8]}"


def log_evaluation_run(
    run_name: str, parameters: Mapping[str, object], dataset_dir: Path, report: EvaluationReport
) -> None:
    """Log a report, and the data set that was asked of, as a run of its own; raise UserError where
    MLflow does not take it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        run_id = start_run(run_name, parameters=parameters)
        log_dataset(run_id, dataset_dir, "evaluation")
        log_evaluation(run_id, report, "evaluation")
        end_run(run_id)
    except MlflowException as error:
        raise UserError(f"the report is not in MLflow: {error}") from error


def log_loss_curves(run_id: str, metrics_path: Path) -> None:
    """Draw the curves of a `metrics.jsonl` and log them."""
    from graphmert.evaluation.figures import draw_loss_curves  # noqa: PLC0415

    open_client().log_figure(run_id, draw_loss_curves(metrics_path), "loss_curves.png")
