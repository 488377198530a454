"""Refusing files and processes to the code of methods, by audit hooks of Python (PEP 578).

A hook cannot be removed from its process. It sees what Python code opens, not what native code
does, so it stops mistakes and simple tricks, and is no sandbox.
"""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench import paths

_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/nvidia", "/sys/", "/proc/self/")
_OTHERS = re.compile(r"^/proc/(\d+)/(?!stat$|status$)")


class NotAllowed(PermissionError):
    """The code of a method has opened a file or started a process that it may not."""


def installed() -> tuple[str, ...]:
    """Folders of the interpreter, of installed packages and of this program."""
    found = {sys.prefix, sys.base_prefix, str(Path(paths.__file__).parent)}
    found |= {str(paths.folder("methods")), *site.getsitepackages(), site.getusersitepackages()}
    found |= {one for one in sys.path if Path(one).name in ("site-packages", "dist-packages")}
    found |= {one for one in sys.path if re.search(r"/python3\.\d+(/lib-dynload)?$", one)}
    return tuple(sorted(os.path.realpath(one) + os.sep for one in found))


def guard_reading(plugins: Iterable[str]) -> None:
    """From now on nothing can be opened but installed packages and these files, to be read."""
    roots, own = installed(), {os.path.realpath(one) for one in plugins}

    def opened(path: str, writes: bool) -> None:
        real = os.path.realpath(path)
        if path == os.devnull or (not writes and (real in own or _under(real, roots))):
            return
        harmless = not writes and real.startswith((*_HARMLESS, f"/proc/{os.getpid()}/"))
        if harmless and not real.endswith("/environ"):  # which the process started with
            return
        raise NotAllowed(
            f"{path} was opened while the file of a method was read; a method may only use its"
            " file, its source and installed packages"
        )

    _install(opened, (*_PROCESSES, "socket.connect", "socket.bind"), "the file of a method is read")


def guard_training(files: Iterable[tuple[int, int]], folders: Iterable[str] = ()) -> None:
    """From now on data sets cannot be read, and installed packages cannot be changed.

    Args:
        files: device and inode of each file of the data set.
        folders: of other copies.
    """
    roots, hidden = installed(), set(files)
    closed = tuple(os.path.realpath(one) + os.sep for one in folders)

    def opened(path: str, writes: bool) -> None:
        real = os.path.realpath(path)
        if writes and _under(real, roots):
            raise NotAllowed(f"{path} was opened to be written in training; keep to the results")
        other = _OTHERS.match(real)
        try:
            state = Path(real).stat()
            data = (state.st_dev, state.st_ino) in hidden
        except OSError:
            data = False
        if data or _under(real, closed) or (other and int(other[1]) != os.getpid()):
            raise NotAllowed(
                f"{path} was opened in training; a method learns from what it is given, and files"
                " of the data set and of other processes are closed to it"
            )

    sys.dont_write_bytecode = True
    _install(opened, _PROCESSES, "a method is trained")


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return (path + os.sep).startswith(roots)


def _install(opened: Callable[[str, bool], None], refused: tuple[str, ...], when: str) -> None:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes, os.PathLike)):
                opened(os.fsdecode(path), bool(flags and flags & _WRITES))
        elif event in ("os.listdir", "os.scandir"):
            if isinstance(args[0], (str, bytes, os.PathLike)):
                opened(os.fsdecode(args[0]), False)
        elif event in refused:
            raise NotAllowed(f"{event} was called while {when}; no process can be started there")

    sys.addaudithook(hook)
