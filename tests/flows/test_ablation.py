"""The ablation flow, run whole on a few files and tried again at its end: child runs, tables,
picture."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect import runtime
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL, temporary_settings
from service_harness import Services

from flows.ablation import ablation
from flows.child_process import run_module
from flows.dataset_request import DatasetRequest
from graphmert.tracking.study import log_study

NUM_RUNS = 4  # of two variants, once each, and of what needs no training, at each try


@pytest.fixture(scope="module")
def parent(
    services: Services,
    small_dataset: tuple[DatasetRequest, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Run the flow, whose last step fails at first; return the id of its MLflow run."""
    trained = []

    def train(*arguments: object) -> None:
        trained.append(arguments)
        run_module(*arguments)

    def log_at_second_try(*arguments: object) -> None:
        if runtime.flow_run.run_count == 1:
            raise ConnectionError("MLflow went away")
        log_study(*arguments)

    with (
        pytest.MonkeyPatch.context() as variables,
        temporary_settings({PREFECT_API_URL: services.prefect_url}),
    ):
        variables.setenv("MLFLOW_TRACKING_URI", services.mlflow_url)
        variables.setattr("flows.ablation.run_module", train)
        variables.setattr("flows.ablation.log_study", log_at_second_try)
        found: str = ablation.with_options(retries=1)(
            data_path=small_dataset[1],
            variants=("full", "no leaves"),
            num_seeds=1,
            num_updates=2,
            batch_size=4,
            base_updates=1,
            num_questions=10,
            tune_updates=0,
            runs_dir=tmp_path_factory.mktemp("ablation"),
        )
    assert len(trained) == NUM_RUNS  # nothing was trained twice
    return found


@pytest.fixture
def client(services: Services) -> MlflowClient:
    return services.mlflow


def test_there_is_a_run_for_each_variant_below_the_flows_own(
    client: MlflowClient, parent: str
) -> None:
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert sorted(run.info.run_name for run in children) == ["full, seed 0", "no leaves, seed 0"]
    for run in children:
        assert run.info.status == "FINISHED"
        assert 0 <= run.data.metrics["validation/token_accuracy"] <= 1
        assert run.data.params["num_updates"] == "2"
    assert client.get_run(parent).info.status == "FINISHED"


def test_the_report_is_with_the_flows_own(
    client: MlflowClient, parent: str, tmp_path: Path
) -> None:
    made = {file.path for file in client.list_artifacts(parent, "study")}
    assert {"study/study.md", "study/study.json"} < made
    assert "study/differences-0.png" in made
    text = Path(client.download_artifacts(parent, "study/study.md", str(tmp_path))).read_text()
    assert "2 updates after 1 of code alone, each of 4 windows, tiny" in text
    for row in ("full", "majority", "count table", "BM25", "table of tails"):
        assert f"| {row} |" in text
    assert "against 'no leaves'" in text


def test_a_variant_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ParameterTypeError, match="'full' is named twice"):
        ablation.validate_parameters(
            {"data_path": "data", "variants": ("full", "no leaves", "full")}
        )
