"""Output in encodings that lack some characters: these become ASCII, and nothing fails."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_HANDLER = "bench.ascii"
_ASCII = {
    "Δ": "delta", "±": "+/-", "★": "*", "†": "+", "‡": "++", "°": "o", "×": "x", "≤": "<=",
    "≥": ">=", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "·": ".", "•": "*",
    "‘": "'", "’": "'", "“": '"', "”": '"', "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|",
}  # fmt: skip


def degrade_output() -> None:
    """Make standard output and error write in ASCII what their encoding lacks."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    """One character in ASCII: its known replacement, its base letter, or a question mark."""
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _ASCII.get(character) or base or "?"
