"""What a run ran on: versions, machine, code state, memory, time."""

from __future__ import annotations

import platform
import resource
import subprocess
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bench
from bench.engine.adam import BETA1, BETA2, EPS


def environment(device: str) -> dict[str, Any]:
    """What runs: versions, machine, code state."""
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": gpu,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
        "bench": bench.__version__,
        "adam": {"betas": [BETA1, BETA2], "eps": EPS},
    }


@cache
def processor() -> str | None:
    """The model of the processor, as its maker names it; None if unknown."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass
    found = platform.processor()
    return found if found and found != platform.machine() else None


@cache
def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(bench.__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def now() -> str:
    """The time, in UTC and to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def reset_peak() -> None:
    """Starts the kernel's peak-memory count anew, where it can be (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int:
    """The most bytes of memory that the process has had since the count was started."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
