"""How a method looks: colours, markers and lines that stay apart in print and for all eyes."""

from __future__ import annotations

import hashlib
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
FIRST = (
    "hashing", "qr", "ttrec", "pep", "cerp", "pep-magnitude", "cerp-noreg", "cerp-norewind",
    "cerp-noretrain",
)  # fmt: skip
"""Methods that have the looks that differ most. New names go to the end; none may move."""
APART = {"distilled": 15}
"""Places of methods whose hash has the looks of one that often stands beside them."""
FIRST_CONTROLS = ("dims", "magnitude")
CONTROL_COLOURS = ("#000000", "#6B6B6B")
PUBLISHED = (1, 2)
"""Dashes of a method as published; colour and marker are those of the method."""
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
    """Return the looks of every method; they depend on nothing but its name and role.

    Args:
        methods: name and role of each; controls are drawn in black and grey.
    """
    return {name: _style(name, role) for name, role in methods}


def _style(name: str, role: str) -> Style:
    name, _, form = name.partition(":")
    if form:
        tuned = _style(name, role)
        return Style(tuned.colour, tuned.marker, PUBLISHED)
    order = FIRST_CONTROLS if role == "control" else FIRST
    # Other names are spread by their hash: two may look alike, but none ever changes its looks.
    digest = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    spread = APART.get(name, len(order) + digest % 600)
    place = order.index(name) if name in order else spread
    if role == "control":
        return Style(
            CONTROL_COLOURS[place % len(CONTROL_COLOURS)],
            MARKERS[-1 - place % len(MARKERS)],
            DASHES[1 + place % (len(DASHES) - 1)],
        )
    # The lengths of the three lists share few factors, so that looks repeat late.
    return Style(
        PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)]
    )
