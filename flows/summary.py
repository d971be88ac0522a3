"""The summary of a run: read back from MLflow, so its numbers are those that MLflow holds."""

import os
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from flows.evaluate import PREFIX
from graph_builder.manifest import SPLITS, Manifest, load_manifest
from graphmert.tracking.registry import CHAMPION, REGISTERED_NAME
from graphmert.tracking.store import open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Change:
    """A loss on validation before the first update and after the last."""

    before: float
    after: float


@dataclass(frozen=True)
class RelationScore:
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Champion:
    """The champion that the gate compared with, on the same validation sources."""

    version: str
    bits_per_byte: float
    relations: RelationScore


@dataclass(frozen=True)
class Summary:
    """What MLflow holds of one run of the pipeline."""

    run_id: str
    run_name: str
    tracking_uri: str
    manifest: Manifest
    data_set_path: str
    is_reused: bool
    mlm: Change  # nats for each masked token
    mnm: Change  # nats for each label
    relations: dict[str, RelationScore]  # of the model and of each baseline, same labels
    bits_per_byte: float
    champion: "Champion | None"
    version: str
    aliases: tuple[str, ...]
    gate_reason: str


def read_summary(run_id: str, number: str) -> Summary:
    """Read all that the summary says of a run and its model version from MLflow."""
    client = open_client()
    run = client.get_run(run_id)
    version = client.get_model_version(REGISTERED_NAME, number)
    return Summary(
        run_id=run_id,
        run_name=run.info.run_name,
        tracking_uri=os.environ["MLFLOW_TRACKING_URI"],
        manifest=read_manifest(client, run_id),
        data_set_path=run.data.tags["data_set_path"],
        is_reused=run.data.tags["data_set_reused"] == "true",
        mlm=read_change(client, run_id, "validation/mlm_loss"),
        mnm=read_change(client, run_id, "validation/mnm_loss"),
        relations=relation_scores(run.data.metrics),
        bits_per_byte=run.data.metrics[f"{PREFIX}/bits_per_byte"],
        champion=read_champion(run.data.tags, run.data.metrics),
        version=version.version,
        aliases=tuple(version.aliases),
        gate_reason=version.tags["gate_reason"],
    )


def read_manifest(client: "MlflowClient", run_id: str) -> Manifest:
    with TemporaryDirectory() as folder:
        return load_manifest(Path(client.download_artifacts(run_id, "data_set", folder)))


def read_change(client: "MlflowClient", run_id: str, name: str) -> Change:
    """Return the first and the last value of a metric's series."""
    history = sorted(client.get_metric_history(run_id, name), key=lambda metric: metric.step)
    return Change(history[0].value, history[-1].value)


def relation_scores(metrics: dict[str, float]) -> dict[str, RelationScore]:
    """Return the scores of the model and of the baselines from a run's metrics."""
    names = {
        "model": "relation",
        "count table": "baseline_count_table",
        "majority class": "baseline_majority",
    }
    return {
        name: RelationScore(
            metrics[f"{PREFIX}/{metric}_accuracy"], metrics[f"{PREFIX}/{metric}_macro_f1"]
        )
        for name, metric in names.items()
    }


def read_champion(tags: dict[str, str], metrics: dict[str, float]) -> Champion | None:
    """Return what the champion scored for this run; None where it was not evaluated."""
    if "champion_version" not in tags:
        return None
    score = RelationScore(
        metrics[f"{CHAMPION}/relation_accuracy"], metrics[f"{CHAMPION}/relation_macro_f1"]
    )
    return Champion(tags["champion_version"], metrics[f"{CHAMPION}/bits_per_byte"], score)


def format_summary(summary: Summary) -> str:
    """Return the summary as lines for a terminal."""
    parts = [data_lines(summary), score_lines(summary)]
    if summary.champion is not None:
        parts.append(champion_lines(summary, summary.champion))
    parts.append(model_lines(summary))
    return "".join(f"\n{line}" for part in parts for line in (*part, "")).rstrip("\n")


def data_lines(summary: Summary) -> list[str]:
    manifest = summary.manifest
    state = "reused, nothing has changed" if summary.is_reused else "built"
    lines = [f"Data set {manifest.digest[:12]} ({state}): {summary.data_set_path}"]
    for split in SPLITS:
        sources = [source for source in manifest.sources if source.split == split]
        lines.append(
            f"  {split:<10}  {manifest.num_windows(split):>7,} windows of"
            f" {sum(source.num_files for source in sources):>5,} files,"
            f" {sum(source.num_triples for source in sources):>8,} triples:"
            f" {', '.join(source.source for source in sources)}"
        )
    if added := added_line(manifest):
        lines.append(f"  added       {added}")
    return [*lines, f"  rejected    {rejected_line(manifest)}"]


def added_line(manifest: Manifest) -> str:
    """Say what the last extension brought beside what was there; empty where there was none."""
    newest = max(source.generation for source in manifest.sources)
    if newest == 0:
        return ""
    added = {each.source for each in manifest.sources if each.generation == newest}
    num_new = sum(shard.num_windows for shard in manifest.shards if shard.source in added)
    num_old = sum(shard.num_windows for shard in manifest.shards) - num_new
    return f"{num_new:,} windows to {num_old:,}: {', '.join(sorted(added))}"


def rejected_line(manifest: Manifest) -> str:
    """Count what the builder left out, by reason."""
    files: Counter[str] = Counter()
    windows: Counter[str] = Counter()
    triples: Counter[str] = Counter()
    for source in manifest.sources:
        files.update(reason for _, reason, _ in source.rejected)
        windows.update({f"{kind} duplicates": num for kind, num in source.duplicates.items()})
        triples.update({why: sum(nums.values()) for why, nums in source.unplaced.items()})
    return "; ".join(
        f"{what}: {listed(counts)}"
        for what, counts in (("files", files), ("windows", windows), ("triples", triples))
    )


def listed(counts: Counter[str]) -> str:
    """Return counts in words, leaving out what did not happen."""
    return ", ".join(f"{num:,} {what}" for what, num in sorted(counts.items()) if num) or "none"


def score_lines(summary: Summary) -> list[str]:
    lines = [
        "Validation               before    after",
        f"  MLM loss              {summary.mlm.before:>7.3f}  {summary.mlm.after:>7.3f}"
        "   nats for each masked token",
        f"  MNM loss              {summary.mnm.before:>7.3f}  {summary.mnm.after:>7.3f}"
        "   nats for each label; ln 12 = 2.485 is a blind guess",
        "Relations              accuracy macro-F1",
    ]
    for name, score in summary.relations.items():
        lines.append(f"  {name:<20}  {score.accuracy:>7.1%}  {score.macro_f1:>7.3f}")
    return [*lines, f"Bits for each masked byte       {summary.bits_per_byte:.3f}"]


def champion_lines(summary: Summary, champion: Champion) -> list[str]:
    """Show the new model beside the champion, on the same validation sources."""
    new, old = summary.relations["model"], champion.relations
    bits = summary.bits_per_byte, champion.bits_per_byte
    return [
        f"Beside the champion               new  version {champion.version}",
        f"  bits for each masked byte    {bits[0]:>6.3f}     {bits[1]:>6.3f}",
        f"  relation macro-F1            {new.macro_f1:>6.3f}     {old.macro_f1:>6.3f}",
        f"  relation accuracy            {new.accuracy:>6.1%}     {old.accuracy:>6.1%}",
    ]


def model_lines(summary: Summary) -> list[str]:
    aliases = ", ".join(summary.aliases) or "no alias"
    uri = shlex.quote(summary.tracking_uri)
    lines = [
        f"Model {REGISTERED_NAME} version {summary.version} ({aliases}): {summary.gate_reason}",
        f"MLflow run {summary.run_id}: {summary.run_name}",
    ]
    if summary.tracking_uri.startswith("http"):
        return [*lines, f"MLflow UI: {summary.tracking_uri}"]
    return [*lines, f"MLflow UI: make mlflow-ui  (or: mlflow ui --backend-store-uri {uri})"]
