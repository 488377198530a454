"""The precision of stored values: what the knobs of a method ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import SpecError

Levels = Literal["uniform", "normal"]
Scale = Literal["row", "item", "side"]
ScaleBits = Literal[4, 8]

# Positive halves of the levels that give the least squared error for N(0, 1), by bits. The borders
# lie midway between neighbours.
NORMAL: dict[int, tuple[float, ...]] = {
    1: (0.7979,),
    2: (0.4528, 1.5104),
    3: (0.2451, 0.7560, 1.3439, 2.1519),
    4: (0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326),
}


AWARE = 0.1
"""Share of the training that sees rounded rows unless a method says otherwise."""


@dataclass(frozen=True)
class Storage:
    """How the values of one array are stored.

    Attributes:
        bits: of a value, below 32.
        levels: where the levels lie.
        scale: what has a scale of its own.
        aware: share of the training at its end that sees rounded rows; 0: rounding comes after.
        scale_bits: of the scale of a row, 4 or 8.
    """

    bits: int
    levels: Levels
    scale: Scale
    aware: float = AWARE
    scale_bits: ScaleBits = 8

    def __post_init__(self) -> None:
        if self.levels == "normal" and self.bits not in (*NORMAL, 16):
            raise SpecError(f"bits = {self.bits}: normal levels are for 1 to 4 bits; use uniform")
        if self.levels == "uniform" and self.bits == 1:
            raise SpecError("bits = 1: uniform levels need 2 bits; use levels = 'normal'")

    @classmethod
    def of(cls, config: Any) -> Storage | None:
        """What the knobs of a method ask for; None for float32."""
        if config.bits in (None, 32):
            return None
        levels: Levels = config.levels or ("normal" if config.bits <= 4 else "uniform")
        aware = AWARE if config.aware is None else config.aware
        return cls(config.bits, levels, config.scale or "row", aware, config.scale_bits or 8)

    def row_bytes(self, columns: int) -> float:
        """Bytes of a row with its scale."""
        scale = 0 if self.bits == 16 or self.scale == "side" else self.scale_bits
        return (columns * self.bits + scale) / 8
