"""The registered model loads with pickle off and answers code with JSON."""

import json
from pathlib import Path

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
