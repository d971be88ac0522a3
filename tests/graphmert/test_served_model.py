"""The registered model loads with pickle off, answers code with JSON, and is served by MLflow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from graphmert.prediction import embed, load_code_model, predict_relations
from graphmert.tracking.registry import register_checkpoint
from graphmert.tracking.run import start_run
from graphmert.tracking.served_model import INPUT_EXAMPLE, MAX_CODE_BYTES, MAX_CODES


def test_a_registered_model_is_loaded_back_and_predicts(
    mlflow_store: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow  # noqa: PLC0415

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    version = register_checkpoint(start_run("served"), tiny_checkpoint, {})
    model = mlflow.pyfunc.load_model(version.uri)
    code = "def double(x: int) -> int:\n    return 2 * x\n"
    answers = [json.loads(answer) for answer in model.predict([code, "", "x = '\udc80'"])]

    code_model = load_code_model(tiny_checkpoint)
    expected = [each.to_json() for each in predict_relations(code_model, code)]
    assert answers[0]["relations"] == expected
    assert {each["relation"] for each in expected} >= {"returns", "has_parameter"}
    assert answers[0]["embedding"] == pytest.approx(embed(code_model, code).tolist(), abs=1e-6)
    assert list(answers[1]) == list(answers[2]) == ["error"]

    info = mlflow.models.get_model_info(version.uri)
    assert info.signature.inputs.input_types() == info.signature.outputs.input_types()
    assert model.input_example == INPUT_EXAMPLE
    for too_much in ([code] * (MAX_CODES + 1), ["#" * (MAX_CODE_BYTES + 1)]):
        with pytest.raises(ValueError, match="send at most"):
            model.predict(too_much)


START_S = 300.0  # seconds: nothing is compiled yet, and others use the cores, too


@pytest.fixture
def address(mlflow_store: Path, tiny_checkpoint: Path, tmp_path: Path) -> Iterator[str]:
    """Serve a registered model with the command that the README names; yield where it answers."""
    version = register_checkpoint(start_run("served for real"), tiny_checkpoint, {})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "-m", version.uri, "--port", str(port), "--workers", "1"],
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the model is not served: {log.read_text()}")


def test_the_served_model_answers_over_http_and_refuses_too_much(
    address: str, tiny_checkpoint: Path
) -> None:
    code = "def double(x: int) -> int:\n    return 2 * x\n"
    answer = httpx.post(address, json={"inputs": [code]}, timeout=60).raise_for_status()
    (text,) = answer.json()["predictions"]
    expected = predict_relations(load_code_model(tiny_checkpoint), code)
    served = [
        (each["head"], each["relation"], each["tail"]) for each in json.loads(text)["relations"]
    ]
    assert served == [(each.head, each.relation, each.tail) for each in expected]
    refused = httpx.post(address, json={"inputs": [code] * (MAX_CODES + 1)}, timeout=60)
    assert refused.is_client_error
    assert "send at most" in refused.text
    assert httpx.post(address, json={"inputs": [7]}, timeout=60).is_client_error
