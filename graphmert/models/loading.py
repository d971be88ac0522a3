"""Load a saved model, or say in one line why it cannot be."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel


def load_model(folder: Path) -> GraphMERTModel:
    """Return the model that `save_pretrained` wrote to `folder`, in evaluation mode.

    `from_pretrained` gives weights that are not there a random start and goes on; here every
    weight must be there and fit. Raises ValueError with one line otherwise.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not a saved GraphMERT model, {name} is missing")
    model = GraphMERTModel(_read_config(folder))
    try:
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{folder}: model.safetensors cannot be read ({error})") from error
    _check_fit(folder, model, weights)
    model.load_state_dict(weights, strict=False)  # the tied decoder is not stored
    return model.eval()


def _read_config(folder: Path) -> GraphMERTConfig:
    """Return the configuration in `folder`."""
    try:
        values, _ = GraphMERTConfig.get_config_dict(folder)
        if values.get("model_type") != GraphMERTConfig.model_type:
            raise ValueError(f"its model_type is {values.get('model_type')!r}, not 'graphmert'")
        values.setdefault("use_knowledge_mark", False)  # a model from before there was one
        return GraphMERTConfig.from_dict(values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split())
        raise ValueError(f"{folder}: config.json cannot be used: {line}") from error


def _check_fit(folder: Path, model: GraphMERTModel, weights: dict[str, Tensor]) -> None:
    """Refuse weights whose names or shapes are not the model's."""
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    for tied in model.all_tied_weights_keys:
        wanted.pop(tied, None)
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    wrong = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{folder}: the weights do not fit config.json: {len(wrong)} differ, first {name}, "
            f"{wanted.get(name, 'none')} by config.json but {found.get(name, 'none')} in the file"
        )
