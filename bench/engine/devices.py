"""Where runs can be trained."""

from __future__ import annotations

import re

import torch

from bench.errors import BenchError


def check_device(name: str) -> None:
    """Check that a device is there, before anything is loaded.

    Args:
        name: `cpu`, `cuda` or `cuda:N`.

    Raises:
        BenchError: it is no device, or not one of this machine; names the remedy.
    """
    if name == "cpu":
        return
    if name == "gpu":
        raise BenchError("--device gpu: write cuda for an NVIDIA card, or cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", name, re.ASCII)
    if not match:
        raise BenchError(f"--device {name}: write cpu, cuda or cuda:NUMBER; there are no others")
    if not torch.backends.cuda.is_built():
        raise BenchError(
            f"--device {name}: this PyTorch ({torch.__version__}) is built for processors only;"
            " install one with CUDA (pytorch.org), or use --device cpu"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise BenchError(
            f"--device {name}: PyTorch finds no CUDA device; check the driver with nvidia-smi, or"
            " use --device cpu"
        )
    if int(match[1] or 0) >= count:
        known = ", ".join(f"cuda:{number}" for number in range(count))
        raise BenchError(f"--device {name}: there is no such device; there are {known}")
