"""What must be set before any test imports anything."""

import os
from pathlib import Path

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")
