"""The device that a command line names, or one line that says why not."""

import torch

from graph_builder.errors import UserError


def usable_device(name: str) -> torch.device:
    """Return the device called `name`; raise UserError where this machine has none such."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA raises the latter
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: cannot be used here ({reason}): try cpu") from error
    return device
