"""The text in the header of a file: all that reading the arrays back needs besides the arrays.

It stands in the metadata of the safetensors file under the key `bench`, as compact JSON. It names
the method with its knobs, the shape of the table, and the backbone that the rows are meant for. It
is a part of the file, so a budget in bytes counts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.method.size import METADATA
from bench.method.table import Table

FORMAT = 2
"""Raise it when files are written in another form."""


class BadFile(ValueError):
    """A file is not in the format of this program."""


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes:
        method: name of the method.
        config: its knobs, as a record has them.
        table: shape of the table, with the backbone, without anything that only training uses.
    """

    method: str
    config: Mapping[str, Any]
    table: Table

    def text(self) -> str:
        """The text for the metadata of the file."""
        table = self.table
        content = {
            "format": FORMAT,
            "method": {"name": self.method, "config": dict(self.config)},
            "table": {
                "users": table.users,
                "items": table.items,
                "dim": table.dim,
                "wide": table.wide,
            },
            "backbone": _sorted(table.backbone),
        }
        return json.dumps(content, separators=(",", ":"), ensure_ascii=True)


def _sorted(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """Sort the knobs, so that a run read from its record writes the same bytes as a planned one."""
    return {
        key: dict(sorted(value.items())) if isinstance(value, Mapping) else value
        for key, value in backbone.items()
    }


def read_header(content: bytes) -> Header:
    """Read the header of a file.

    Args:
        content: the file, or its beginning with the whole header.

    Raises:
        BadFile: it has none, or one of another format.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        said = json.loads(metadata[METADATA])
        if said["format"] != FORMAT:
            raise BadFile(f"format {said['format']!r}; this version reads format {FORMAT}")
        shape, method = said["table"], said["method"]
        table = Table(
            users=shape["users"],
            items=shape["items"],
            dim=shape["dim"],
            wide=shape["wide"],
            backbone=said["backbone"],
        )
        return Header(method["name"], method["config"], table)
    except BadFile:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(f"the header of the file cannot be read ({error!r})") from None
