"""The file of own ids: which row is whose, readable with NumPy and safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray


def names_file(users: Sequence[str], items: Sequence[str]) -> bytes:
    """The content of `ids.safetensors`.

    For `user` and for `item`: `text`, uint8, the ids in UTF-8 in the order of the rows; `ends`,
    int32 or int64, where each ends; `order`, int32, the rows in the order of the bytes of their
    ids, for a binary search.

    Args:
        users: own ids in the order of the rows.
        items: likewise.
    """
    return safetensors.numpy.save(_arrays("user", users) | _arrays("item", items))


def _arrays(kind: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    texts = [name.encode() for name in names]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return {
        f"{kind}.text": np.frombuffer(b"".join(texts), dtype=np.uint8),
        f"{kind}.ends": ends.astype(np.int32) if ends[-1] < 2**31 else ends,
        f"{kind}.order": np.array(order, dtype=np.int32),
    }
