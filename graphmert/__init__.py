"""GraphMERT for code: the model, its training and its evaluation.

`GraphMERTModel` and `GraphMERTConfig` load on first use, so that tools that only read records or
settings from this package need not wait for torch and transformers.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphmert.models.graphmert import GraphMERTConfig, GraphMERTModel

__all__ = ["GraphMERTConfig", "GraphMERTModel"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'graphmert' has no attribute {name!r}")
    from graphmert.models import graphmert as module  # noqa: PLC0415

    return getattr(module, name)
