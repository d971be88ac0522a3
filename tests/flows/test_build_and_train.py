"""The whole job twice on a handful of real files: by its command, and then through a worker."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from service_harness import Services, free_port
from workplace import Workplace, workplace


@pytest.fixture(scope="module")
def runs(first_summary: str, second_summary: str) -> list[str]:
    return [first_summary, second_summary]


@pytest.fixture(scope="module")
def client(place: Workplace, runs: list[str]) -> MlflowClient:
    return MlflowClient(place.store)


def run_ids(runs: list[str]) -> list[str]:
    return [found.group(1) for text in runs if (found := re.search(r"MLflow run (\w+):", text))]


def numbers(text: str, name: str) -> list[float]:
    """Return the numbers of the summary's line that opens with a name."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    rest = line.strip().removeprefix(name).split("nats")[0]
    return [float(number.rstrip("%")) for number in re.findall(r"[\d.]+%?", rest)]


def alias_of(client: MlflowClient, alias: str) -> str:
    return str(client.get_model_version_by_alias("graphmert", alias).version)


def test_the_summary_says_what_mlflow_holds(runs: list[str], client: MlflowClient) -> None:
    for text, run_id in zip(runs, run_ids(runs), strict=True):
        metrics = client.get_run(run_id).data.metrics
        for name, metric in (("MLM loss", "mlm_loss"), ("MNM loss", "mnm_loss")):
            history = client.get_metric_history(run_id, f"validation/{metric}")
            series = [each.value for each in sorted(history, key=lambda each: each.step)]
            assert numbers(text, name) == [round(series[0], 3), round(series[-1], 3)]
        for name, metric in (
            ("model", "relation"),
            ("count table", "baseline_count_table"),
            ("majority class", "baseline_majority"),
        ):
            accuracy, macro_f1 = (
                metrics[f"evaluation/{metric}_accuracy"],
                metrics[f"evaluation/{metric}_macro_f1"],
            )
            assert numbers(text, name) == [round(100 * accuracy, 1), round(macro_f1, 3)]
        bits = metrics["evaluation/bits_per_byte"]
        assert numbers(text, "Bits for each masked byte") == [round(bits, 3)]


def test_training_starts_blind_and_learns(runs: list[str], client: MlflowClient) -> None:
    for metric in ("mlm_loss", "mnm_loss"):
        history = client.get_metric_history(run_ids(runs)[0], f"validation/{metric}")
        series = [each.value for each in sorted(history, key=lambda each: each.step)]
        assert len(series) == 3  # before the first update, and after each epoch
        assert series == sorted(series, reverse=True)
        if metric == "mnm_loss":
            assert 2.3 <= series[0] <= 3.0


def test_the_second_run_reuses_the_data_set(runs: list[str], place: Workplace) -> None:
    first, second = (re.search(r"Data set (\w+) \((.*)\)", text) for text in runs)
    assert first
    assert second
    assert first.group(1) == second.group(1)
    assert first.group(2) == "built"
    assert second.group(2).startswith("reused")
    (dataset,) = (path for path in (place.folder / "data").iterdir() if not path.is_symlink())
    assert (place.folder / "data" / "latest").resolve() == dataset


def test_a_first_model_is_promoted_and_a_tie_is_not(runs: list[str], client: MlflowClient) -> None:
    assert "version 1 (champion): first model" in runs[0]
    assert "version 2 (candidate): no better" in runs[1]
    assert alias_of(client, "champion") == "1"
    assert alias_of(client, "candidate") == "2"


def test_runs_and_versions_lead_back_to_data_and_flow_run(
    runs: list[str], client: MlflowClient
) -> None:
    for number, run_id in zip("12", run_ids(runs), strict=True):
        run = client.get_run(run_id)
        version = client.get_model_version("graphmert", number)
        (dataset,) = run.inputs.dataset_inputs
        assert run.info.status == "FINISHED"
        assert run.data.tags["gate"] == version.tags["gate"]
        assert version.run_id == run_id
        assert version.tags["data_set_digest"].startswith(dataset.dataset.digest)
        assert version.tags["prefect.flow_run_id"] == run.data.tags["prefect.flow_run_id"]
        assert dataset.dataset.digest[:8] in run.info.run_name


def test_what_the_builder_refuses_is_one_line_and_leaves_nothing(
    place: Workplace, services: Services, runs: list[str], client: MlflowClient
) -> None:
    before, num_runs = place.made, len(client.search_runs(["1"]))
    with_server = replace(
        place, variables={**place.variables, "PREFECT_API_URL": services.prefect_url}
    )
    folders = ("--data_dir", "other", "--runs_dir", "more")
    done = with_server.run("--train", "path:no-such-folder", *folders)
    assert_refused(done, "path:no-such-folder: no such folder")
    assert place.made == before
    assert len(client.search_runs(["1"])) == num_runs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--train", "networkx"], "unknown source 'networkx'"),
        (["--train", "path:sources", "--num_epochs", "0"], "num_epochs"),
    ],
)
def test_a_wrong_argument_is_one_line_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    place = workplace(tmp_path)
    assert_refused(place.run(*arguments), said)
    assert place.made == {"sources"}


def test_an_mlflow_server_that_is_away_is_one_line_before_anything_is_built(
    tmp_path: Path,
) -> None:
    place = workplace(tmp_path)
    nowhere = f"http://127.0.0.1:{free_port()}"
    away = replace(place, variables={**place.variables, "MLFLOW_TRACKING_URI": nowhere})
    done = away.run("--train", "path:sources/train")
    assert_refused(done, f"MLFLOW_TRACKING_URI={nowhere}: MLflow does not answer", 69)
    assert place.made == {"sources"}


def assert_refused(done: "subprocess.CompletedProcess[str]", said: str, code: int = 2) -> None:
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert said in line
