"""The registered model as MLflow serves it: a list of code strings in, JSON strings out.

MLflow stores this file itself (models from code) and runs it when it loads the model, so nothing
is unpickled. Each answer is an object {"relations": [..], "embedding": [..]}, as
`graphmert.prediction` makes them, or {"error": "why"} for code that cannot be read.
Serve it with: mlflow models serve -m models:/graphmert@champion --env-manager local
"""

import json
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

MAX_CODES = 64  # code strings of one call
MAX_CODE_BYTES = 1 << 20  # UTF-8 bytes of one call, all strings together
INPUT_EXAMPLE = ["def area(width: float, height: float) -> float:\n    return width * height\n"]


class ServedModel(PythonModel):
    """Answer with the relations and the embedding of each code string."""

    def load_context(self, context: PythonModelContext) -> None:
        from graphmert.prediction import load_code_model, predict_relations  # noqa: PLC0415

        self.code_model = load_code_model(Path(context.artifacts["checkpoint"]))
        # What is compiled on first use is compiled now, not while someone waits for an answer.
        predict_relations(self.code_model, INPUT_EXAMPLE[0])

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[str],  # MLflow takes the signature from these types and checks calls
        params: dict[str, Any] | None = None,
    ) -> list[str]:
        """Return one JSON string for each code string; raise ValueError for too much input."""
        _check_size(model_input)
        return [self._answer(code) for code in model_input]

    def _answer(self, code: str) -> str:
        from graphmert.prediction import embed, predict_relations  # noqa: PLC0415

        try:
            answer: dict[str, Any] = {
                "relations": [each.to_json() for each in predict_relations(self.code_model, code)],
                "embedding": embed(self.code_model, code).tolist(),
            }
        except ValueError as error:
            answer = {"error": str(error)}
        return json.dumps(answer)


def _check_size(codes: list[str]) -> None:
    num_bytes = sum(len(code.encode("utf-8", "surrogatepass")) for code in codes)
    if len(codes) > MAX_CODES or num_bytes > MAX_CODE_BYTES:
        raise ValueError(
            f"{len(codes)} code strings of {num_bytes} bytes: send at most {MAX_CODES} of "
            f"{MAX_CODE_BYTES} bytes in one call"
        )


set_model(ServedModel())
