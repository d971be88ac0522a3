"""The gate's decisions, and versions and aliases in a real MLflow store."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from graphmert.evaluation.metrics import RelationReport
from graphmert.evaluation.report import EvaluationReport
from graphmert.models.loading import load_model
from graphmert.tracking import registry
from graphmert.tracking.registry import Decision, decide
from graphmert.tracking.run import start_run
from graphmert.tracking.store import open_client


def with_scores(report: EvaluationReport, bits: float, macro_f1: float) -> EvaluationReport:
    relations: RelationReport = report.relations
    every = replace(relations.every, macro_f1=macro_f1)
    return replace(report, bits_per_byte=bits, relations=replace(relations, every=every))


@pytest.mark.parametrize(
    ("bits", "macro_f1", "promote"),
    [
        (1.9, 0.6, True),  # both better
        (1.9, 0.5, True),  # one better, one equal
        (2.0, 0.6, True),
        (2.0, 0.5, False),  # a tie
        (1.9, 0.4, False),  # better in one, worse in the other
        (2.1, 0.6, False),
        (2.1, 0.4, False),
        (float("nan"), 0.6, False),
    ],
)
def test_a_champion_is_beaten_only_by_what_is_nowhere_worse(
    a_report: EvaluationReport, bits: float, macro_f1: float, promote: bool
) -> None:
    champion = with_scores(a_report, 2.0, 0.5)
    decision = decide(with_scores(a_report, bits, macro_f1), champion)
    assert decision.promote is promote
    assert decision.reason


def test_a_first_model_is_promoted_unless_its_scores_are_not_finite(
    a_report: EvaluationReport,
) -> None:
    assert decide(a_report, None).promote
    assert not decide(with_scores(a_report, float("inf"), 0.5), None).promote


def test_a_champion_that_cannot_be_read_is_not_beaten(a_report: EvaluationReport) -> None:
    decision = decide(a_report, None, champion_error="no such file")
    assert not decision.promote
    assert "no such file" in decision.reason


def test_versions_move_the_aliases_and_give_their_checkpoint_back(
    mlflow_store: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    assert registry.find_champion() is None
    trained = shutil.copytree(tiny_checkpoint, tmp_path / "trained")
    (trained / "optimizer.safetensors").write_bytes(b"large")
    first = registry.register_checkpoint(start_run("one"), trained, {"digest": "abc"})
    assert registry.find_champion() is None
    registry.apply(first, Decision(True, "first model"))
    champion = registry.find_champion()
    assert champion is not None
    assert (champion.number, champion.run_id) == (first.number, first.run_id)
    assert champion.tags == {"digest": "abc", "gate": "champion", "gate_reason": "first model"}

    second = registry.register_checkpoint(start_run("two"), tiny_checkpoint, {})
    registry.apply(second, Decision(False, "a tie"))
    version = open_client().get_model_version_by_alias(registry.REGISTERED_NAME, "candidate")
    assert (str(version.version), version.tags["gate_reason"]) == (second.number, "a tie")
    assert registry.find_champion() == champion

    folder = registry.download_checkpoint(champion, tmp_path / "champion")
    stored, original = load_model(folder).state_dict(), load_model(tiny_checkpoint).state_dict()
    assert all(stored[name].equal(original[name]) for name in original)
    assert not (folder / "optimizer.safetensors").exists()
    assert (folder / "tokenizer.json").read_bytes() == (
        tiny_checkpoint / "tokenizer.json"
    ).read_bytes()


def test_a_model_that_was_not_logged_whole_is_not_registered(
    mlflow_store: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start_run("broken")
    experiment_id = open_client().get_run(run_id).info.experiment_id
    pending = open_client().create_logged_model(experiment_id, "half", source_run_id=run_id)
    monkeypatch.setattr(registry, "_log_model", lambda *_: pending.model_id)
    with pytest.raises(RuntimeError, match="not READY"):
        registry.register_checkpoint(run_id, tiny_checkpoint, {})
