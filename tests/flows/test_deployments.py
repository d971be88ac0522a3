"""The deployments, on a real Prefect server: made by the real command, with forms that check."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FLOWS = ("build-and-train", "build-dataset", "train", "evaluate", "ablation")
START_S = 90.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start a server on a loopback port, make the work pool; yield what a client needs."""
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
    }
    command = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([*command, "--no-ui"], env=variables, stdout=log, stderr=log)
    try:
        wait_for(f"{variables['PREFECT_API_URL']}/health", server)
        pool = {"name": "graphmert", "type": "process", "base_job_template": {}}
        httpx.post(f"{variables['PREFECT_API_URL']}/work_pools/", json=pool).raise_for_status()
        yield variables
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers; fail where it ends or takes too long."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"no Prefect server at {url}")


@pytest.fixture(scope="module")
def deployed(environment: dict[str, str]) -> str:
    """Run `prefect deploy --all` in the checkout and return what it prints."""
    return prefect(environment, "--no-prompt", "deploy", "--all").stdout


def prefect(
    environment: dict[str, str], *arguments: str, is_ok: bool = True
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [str(BIN / "prefect"), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == is_ok, done.stdout + done.stderr
    return done


def deployment(environment: dict[str, str], name: str) -> dict[str, Any]:
    url = f"{environment['PREFECT_API_URL']}/deployments/name/{name}/{name}"
    return httpx.get(url).raise_for_status().json()


@pytest.mark.parametrize("name", FLOWS)
def test_a_deployment_bears_its_flows_name(
    environment: dict[str, str], deployed: str, name: str
) -> None:
    found = deployment(environment, name)
    assert found["work_pool_name"] == "graphmert"
    assert found["enforce_parameter_schema"]
    assert "pool" not in "".join(re.findall(r"(?i)warning.*", deployed))


def test_no_path_of_this_machine_is_stored(environment: dict[str, str], deployed: str) -> None:
    for name in FLOWS:
        assert str(ROOT) not in str(deployment(environment, name))


@pytest.mark.parametrize("name", FLOWS)
def test_every_parameter_says_what_it_is(
    environment: dict[str, str], deployed: str, name: str
) -> None:
    schema = deployment(environment, name)["parameter_openapi_schema"]
    assert schema["properties"]
    for parameter, form in schema["properties"].items():
        assert form.get("description"), parameter
        assert form.get("type"), parameter
        assert ("default" in form) == (parameter not in schema.get("required", [])), parameter


@pytest.mark.parametrize(
    "wrong",
    ["num_epochs=0", 'preset="huge"', "lambda_mlm=1.5", 'train=["networkx"]', "vocab_size=-1"],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(
    environment: dict[str, str], deployed: str, wrong: str
) -> None:
    name, _, text = wrong.partition("=")
    url = environment["PREFECT_API_URL"]
    made_from = deployment(environment, "build-and-train")["id"]
    parameters = {name: json.loads(text)}
    answer = httpx.post(
        f"{url}/deployments/{made_from}/create_flow_run", json={"parameters": parameters}
    )
    assert answer.is_client_error
    assert name in answer.text
    assert httpx.post(f"{url}/flow_runs/count", json={}).json() == 0
