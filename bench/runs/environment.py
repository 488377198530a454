"""What a run ran on: versions, machine, code state, memory, time."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, PackagePath, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bench
from bench.engine.dense_adam import BETA1, BETA2, EPS
from bench.records.protocol import untraced
from bench.records.schema import Record

_CODE = ("bench", "methods", "compact_lookup")
"""Folders of a checkout that have code. The content of `tuned` and `datasets` is in records."""


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
        "commit": code_state(),
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
def code_state() -> str:
    """What code runs: a commit, or an installed package.

    A commit has `-dirty` at its end where files differ from it, and where folders of the program
    have files that git does not know. "unknown" for a copy of the files that is neither.
    """
    home = Path(bench.__file__).parent
    # A package inside of somebody else's checkout is no part of it.
    if _git(home, "ls-files", "--error-unmatch", "__init__.py"):
        return _commit(home.parent) or "unknown"
    return _installed() or "unknown"


def _commit(checkout: Path) -> str:
    """The commit that a checkout is at, and whether it has other code; "" if git does not say."""
    state = _git(checkout, "describe", "--always", "--dirty", "--abbrev=12")
    new = _git(checkout, "ls-files", "--others", "--exclude-standard", "--", *_CODE)
    if not state or new is None:
        return ""
    return f"{state}-dirty" if new and not state.endswith("-dirty") else state


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None if it fails."""
    try:
        found = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def origin(device: str) -> dict[str, str]:
    """What a training that was broken off must share with the one that continues it."""
    kind = torch.device(device).type
    return {"code": code_state(), "torch": torch.__version__, "device": kind}


def _installed() -> str:
    """Version of the installed package that runs, with a hash of its files; "" if none does."""
    try:
        found = distribution("compact-embedding-benchmark")
    except PackageNotFoundError:
        return ""
    files = [_path(file) for file in found.files or () if file.suffix == ".py"]
    if Path(bench.__file__) not in files:
        return ""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.read_bytes())
    return f"package-{found.version}-{total.hexdigest()[:12]}"


def _path(file: PackagePath) -> Path:
    return Path(str(file.locate()))


def replaceable(record: Record) -> bool:
    """Whether a record of code that nobody can find again may give way to one of today's code."""
    today = {**record.env, "commit": code_state()}
    return bool(untraced(record)) and not untraced(record.model_copy(update={"env": today}))


def now() -> str:
    """The time, in UTC and to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def reset_peak() -> bool:
    """Start the kernel's peak-memory count anew.

    Returns:
        Whether that could be done (on Linux). If not, the peak would be that of earlier runs too.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory() -> int | None:
    """The most bytes of memory that the process has had since the count was started, on Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return None
