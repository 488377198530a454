"""Who owns a file: a process of this machine that can be asked for, or one of another machine.

No clock is asked: a process is known by its number and by when the kernel counted its start, so
that a clock set back, a restart of the machine or a number that is used again deceives nobody.
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
class Owner:
    """A process.

    Attributes:
        machine: 12 hex digits; differ between machines, their restarts and their containers.
        pid: number of the process.
        born: when it started, in the unit of its kernel; tells apart processes of one number.
    """

    machine: str
    pid: int
    born: int

    def __str__(self) -> str:
        return f"{self.machine}-{self.pid}-{self.born}"

    def here(self) -> bool:
        """Whether this machine can tell if it lives."""
        return self.machine == _machine()

    def dead(self) -> bool:
        """Whether it is known to be gone; never of a process of another machine."""
        return self.here() and _born(self.pid) != self.born


def myself() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    return Owner(_machine(), pid, _born(pid) or 0)


def read_owner(text: str) -> Owner | None:
    """An owner from its text, or None where the text is no owner."""
    match = _TEXT.match(text.strip())
    return Owner(match[1], int(match[2]), int(match[3])) if match else None


def _machine() -> str:
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(str(Path(path).readlink()) if "ns" in path else Path(path).read_text())
        except OSError:
            parts.append("")  # not Linux: the name has to do
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _born(pid: int) -> int | None:
    """When a process started; None if there is none, or only what is left of a dead one."""
    try:
        # The name stands in brackets and may hold anything; fields count from behind it.
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
