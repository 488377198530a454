"""The file that an interrupted training run continues from."""

from __future__ import annotations

import json
import logging
import math
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from torch import Tensor

from bench.files import write_atomic
from bench.method.size import DTYPES

_log = logging.getLogger(__name__)

CODES = {dtype: code for dtype, (code, _) in DTYPES.items()} | {
    torch.bool: "BOOL",
    torch.float64: "F64",
    torch.bfloat16: "BF16",
}
"""Names of types in a safetensors file; of more types than the file of a method may have."""

SAVE_EVERY = 15.0  # seconds between checkpoints; an interruption costs no more than this


@dataclass
class State:
    """Progress of a training run; with the tensors, the content of a checkpoint.

    Attributes:
        phase: index of the current phase.
        epoch: epochs done in it.
        stopped: why the phase has ended (`budget`, `patience`, `epochs`), or empty.
        best: best validation score of the phase.
        best_epoch: the epoch of that score; 0 if there is none.
        waiting: evaluations since that epoch.
        seconds: training time spent in the phase.
        phases, history: as in the record.
    """

    phase: int = 0
    epoch: int = 0
    stopped: str = ""
    best: float = -math.inf
    best_epoch: int = 0
    waiting: int = 0
    seconds: float = 0.0
    phases: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)


class Checkpoint:
    """A safetensors file with the state in its metadata.

    A file that is damaged, or that belongs to another run, is deleted with a warning: it costs
    training time, but does not make the run fail.

    Args:
        path: of the file; None saves nothing and loads nothing.

    Attributes:
        origin: what writes the file: the release of PyTorch, and whatever the caller adds, such as
            the state of the code. A file of another origin is deleted as well, because a run must
            not mix the numbers of two programs.
        earlier: seconds of training that other processes have put into the file that was loaded.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.origin: Mapping[str, str] = {"torch": torch.__version__}
        self.earlier = 0.0
        self._began = self._saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of the training until now, those of earlier processes among them."""
        return self.earlier + time.monotonic() - self._began

    @property
    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return self.path is not None and time.monotonic() - self._saved >= SAVE_EVERY

    def save(self, state: State, tensors: dict[str, Tensor]) -> None:
        """Replace the file.

        Raises:
            StoreError: it cannot be written.
        """
        assert self.path is not None
        self._saved = time.monotonic()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        text = json.dumps(asdict(state) | {"elapsed": self.seconds, "origin": dict(self.origin)})
        meta = {"state": text, "crc32": checksum(text, tensors)}
        write_atomic(self.path, lambda stream: write_tensors(stream, tensors, meta))

    def load(self, phases: int) -> tuple[State, dict[str, Tensor]] | None:
        """Read the file, if there is one and it is whole.

        Args:
            phases: number of phases of the method.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with safetensors.safe_open(str(self.path), "pt") as stored:
                meta = stored.metadata()
                tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
            if meta["crc32"] != checksum(meta["state"], tensors):
                raise ValueError("its checksum is wrong")
            content = json.loads(meta["state"])
            self._check_origin(content.pop("origin", {}))
            self.earlier = float(content.pop("elapsed"))
            state = State(**content)
            if not 0 <= state.phase < phases:
                raise ValueError("it belongs to another method")
        except Exception as error:  # whatever the file holds, training can start again
            self.discard(error)
            return None
        return state, tensors

    def _check_origin(self, found: dict[str, str]) -> None:
        """Refuse a file of another origin.

        Raises:
            ValueError: it is; the message says what it was written with.
        """
        theirs = [
            f"{key} {found.get(key, 'unknown')}"
            for key, value in self.origin.items()
            if found.get(key) != value
        ]
        if theirs:
            raise ValueError(f"it was written with {', '.join(theirs)}")

    def discard(self, why: Exception) -> None:
        """Delete the file, with a warning that says why."""
        assert self.path is not None
        self.earlier = 0.0
        reason = f"{type(why).__name__}: {why}".partition("\n")[0]
        _log.warning("%s: discarded, training starts again (%s)", self.path, reason)
        self.path.unlink(missing_ok=True)


def write_tensors(
    stream: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file; `safetensors.torch.save` makes two copies of all tensors first.

    Args:
        stream: an open file.
        tensors: contiguous, on the CPU, of types in `CODES`.
        metadata: texts for the header.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        stream.write(_bytes_of(tensor))


def _bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    content: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return content


def checksum(state: str, tensors: dict[str, Tensor]) -> str:
    """CRC-32 of the state's text and of the tensors, in the order of their names."""
    total = zlib.crc32(state.encode())
    for name in sorted(tensors):
        total = zlib.crc32(_bytes_of(tensors[name]), total)
    return f"{total:08x}"


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
