"""An MLflow run ends as what it stands for did, and goes on where an earlier try has opened it."""

from pathlib import Path

import pytest
from prefect.exceptions import TerminationSignal

from flows.tracked_run import opened_run
from graphmert.tracking.store import open_client


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("the loss is no number"), "FAILED"),
        (SystemExit(75), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
        (TerminationSignal(signal=15), "KILLED"),
    ],
)
def test_a_run_ends_as_its_work_did(mlflow_store: Path, error: BaseException, status: str) -> None:
    run_ids = []

    def work() -> None:
        with opened_run(None, "a", {}, {"seed": 1}) as run_id:
            run_ids.append(run_id)
            raise error

    with pytest.raises(type(error)):
        work()
    assert open_client().get_run(run_ids[0]).info.status == status
    with opened_run(run_ids[0], "a", {"try": "2"}, {"seed": 1}) as run_id:
        run = open_client().get_run(run_id)
        assert (run_id, run.info.status, run.data.tags["try"]) == (run_ids[0], "RUNNING", "2")
    assert open_client().get_run(run_ids[0]).info.status == "FINISHED"
