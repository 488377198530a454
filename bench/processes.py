"""Identity of the process that wrote a file, and whether this process still runs.

The identity is the machine, the number of the process and its start time as the kernel counts it.
It stays right when the clock is set back, the machine restarts or a process number is used again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

_TEXT = re.compile(r"^([0-9a-f]{12})-(\d{1,10})-(\d{1,20})$")


@dataclass(frozen=True)
class ProcessId:
    """Identity of a process, on this machine or on another one.

    Attributes:
        machine: 12 hex digits; differ between machines, their restarts and their containers.
        pid: number of the process.
        started: start time in the unit of its kernel; distinguishes processes of one number.
    """

    machine: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.machine}-{self.pid}-{self.started}"

    def is_local(self) -> bool:
        """Whether the process belongs to this machine, which can then tell whether it runs."""
        return self.machine == _machine()

    def is_dead(self) -> bool:
        """Whether the process has ended; always false for a process of another machine."""
        return self.is_local() and _start_of(self.pid) != self.started


def current_process() -> ProcessId:
    """The identity of the calling process."""
    pid = os.getpid()
    return ProcessId(_machine(), pid, _start_of(pid) or 0)


def parse_process_id(text: str) -> ProcessId | None:
    """The identity that a text states, or None if the text states none."""
    match = _TEXT.match(text.strip())
    return ProcessId(match[1], int(match[2]), int(match[3])) if match else None


def _machine() -> str:
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(str(Path(path).readlink()) if "ns" in path else Path(path).read_text())
        except OSError:
            parts.append("")  # not Linux: only the name of the machine counts
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _start_of(pid: int) -> int | None:
    """Start time of a process; None if no such process runs (a zombie does not run)."""
    try:
        # The name in brackets may hold any character, so the fields are counted after it.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return None
