"""How a method looks: colours, markers and lines that stay apart in print and for all eyes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

# Okabe and Ito's palette without black (kept for the controls) and yellow (too pale on white),
# then three of Tol's muted colours.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#882255", "#332288", "#999933",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "8", "*", "h", "d")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5), (3, 1))
CONTROL_COLOURS = ("#000000", "#6B6B6B")
DARK = {
    "#0072B2": "#4FA8E0", "#D55E00": "#F0803C", "#009E73": "#2CC79A", "#CC79A7": "#E59CC4",
    "#E69F00": "#F2B632", "#56B4E9": "#8FD0F5", "#882255": "#D6619B", "#332288": "#9D90F5",
    "#999933": "#C9C95A", "#000000": "#F2F2F2", "#6B6B6B": "#B0B0B0",
}  # fmt: skip
"""The same colours on a dark page, light enough to be told from it."""

SYMBOLS = dict(
    zip(
        MARKERS,
        (
            "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x",
            "triangle-left", "triangle-right", "pentagon", "octagon", "star", "hexagon",
            "diamond-tall",
        ),
        strict=True,
    )
)  # fmt: skip
"""Matplotlib's markers by the names that plotly has for them."""

KINDS = {
    "values": "#0072B2",
    "indices": "#E69F00",
    "mask": "#009E73",
    "codes": "#CC79A7",
    "scales": "#56B4E9",
}
HATCHES = {
    "values": "",
    "indices": "////",
    "mask": "....",
    "codes": "xxxx",
    "scales": "++++",
    "header": "",
}


@dataclass(frozen=True)
class Style:
    """The looks of one method.

    Attributes:
        colour: hexadecimal.
        marker: matplotlib's name.
        dashes: lengths on and off in line widths; empty for a solid line.
    """

    colour: str
    marker: str
    dashes: tuple[float, ...]

    @property
    def line(self) -> Literal["-"] | tuple[float, tuple[float, ...]]:
        """Return matplotlib's linestyle."""
        return (0, self.dashes) if self.dashes else "-"


def styles(methods: Iterable[tuple[str, str]]) -> Mapping[str, Style]:
    """Return the looks of every method, the same on every figure of a report.

    Args:
        methods: name and role of each; controls are drawn in black and grey.
    """
    found: dict[str, Style] = {}
    controls = others = 0
    # Methods first: they get the colours that differ most.
    for name, role in sorted(set(methods), key=lambda m: (m[1] != "method", m)):
        if role == "control":
            colour = CONTROL_COLOURS[controls % len(CONTROL_COLOURS)]
            marker = MARKERS[(-1 - controls) % len(MARKERS)]
            dashes = DASHES[1 + controls % (len(DASHES) - 1)]
            controls += 1
        else:
            # The lengths of the three lists share few factors, so that no two of the first
            # thirty methods look the same.
            colour = PALETTE[others % len(PALETTE)]
            marker = MARKERS[others % len(MARKERS)]
            dashes = DASHES[others % len(DASHES)]
            others += 1
        found[name] = Style(colour, marker, dashes)
    return found
