"""The deployments, as the real command makes them on a real server: with forms that check."""

import json
from typing import Any

import httpx
import pytest
from service_harness import REQUEST_S, ROOT, Services, wait_until

from flows.tracked_run import mark_of

FLOWS = ("build-and-train", "build-dataset", "train", "evaluate", "ablation")


def deployment(services: Services, name: str) -> Any:
    return services.get(f"deployments/name/{name}/{name}")


@pytest.mark.parametrize("name", FLOWS)
def test_a_deployment_bears_its_flows_name(services: Services, name: str) -> None:
    found = deployment(services, name)
    assert found["work_pool_name"] == "graphmert"
    assert found["work_queue_name"] == ("cpu" if name == "build-dataset" else "gpu")
    assert found["enforce_parameter_schema"]


def test_no_path_of_this_machine_is_stored(services: Services) -> None:
    for name in FLOWS:
        assert str(ROOT) not in str(deployment(services, name))


def test_the_example_of_a_schedule_is_off(services: Services) -> None:
    (schedule,) = deployment(services, "build-and-train")["schedules"]
    assert schedule["schedule"]["cron"] == "0 3 * * 0"
    assert not schedule["active"]


def test_runs_of_a_schedule_have_folders_of_their_own(services: Services) -> None:
    found = deployment(services, "build-and-train")
    (schedule,) = found["schedules"]

    def switch(command: str) -> None:
        words = ("deployment", "schedule", command, "build-and-train/build-and-train")
        done = services.command("prefect", *words, schedule["id"])
        assert done.returncode == 0, done.stderr

    def scheduled() -> list[str]:
        of_this = {"any_": [found["id"]]}
        waiting = {"type": {"any_": ["SCHEDULED"]}}
        runs = services.post(
            "flow_runs/filter", flow_runs={"deployment_id": of_this, "state": waiting}
        )
        return [str(run["id"]) for run in runs]

    switch("resume")
    try:
        wait_until(lambda: len(scheduled()) > 2)
        ids = scheduled()
    finally:
        switch("pause")
    assert len({mark_of(flow_run) for flow_run in ids}) == len(ids)
    assert not scheduled()


@pytest.mark.parametrize("name", FLOWS)
def test_every_parameter_says_what_it_is(services: Services, name: str) -> None:
    schema = deployment(services, name)["parameter_openapi_schema"]
    assert schema["properties"]
    for parameter, form in schema["properties"].items():
        assert form.get("description"), parameter
        assert form.get("type") or form.get("anyOf"), parameter
        assert ("default" in form) == (parameter not in schema.get("required", [])), parameter


@pytest.mark.parametrize(
    "wrong",
    [
        "num_epochs=0",
        'preset="huge"',
        "lambda_mlm=1.5",
        'train=["networkx"]',
        'add_sources=["networkx"]',
        "vocab_size=-1",
        'start_from="nothing"',
        "time_limit_s=-1",
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(services: Services, wrong: str) -> None:
    name, _, text = wrong.partition("=")
    made_from = deployment(services, "build-and-train")["id"]
    num_runs = services.post("flow_runs/count")
    answer = httpx.post(
        f"{services.prefect_url}/deployments/{made_from}/create_flow_run",
        json={"parameters": {name: json.loads(text)}},
        timeout=REQUEST_S,
    )
    assert answer.is_client_error
    assert name in answer.text
    assert services.post("flow_runs/count") == num_runs


def test_there_is_a_slot_for_each_gpu_and_an_automation_for_dead_runs(services: Services) -> None:
    from flows.gpus import GPU_SLOTS, count_gpus  # noqa: PLC0415

    limit = services.get(f"v2/concurrency_limits/{GPU_SLOTS}")
    assert limit["limit"] == max(count_gpus(), 1)
    (automation,) = services.post("automations/filter")
    assert automation["enabled"]
    assert automation["actions"][0]["state"] == "CRASHED"
    assert "prefect.flow-run.heartbeat" in automation["trigger"]["expect"]
