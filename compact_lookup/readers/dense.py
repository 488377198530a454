"""Tables with a row for each id."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compact_lookup.container import File
from compact_lookup.values import Index, Rows, Values


def table(file: File) -> Callable[[Index], Rows]:
    """One table, all ids alike."""
    return Values(file, "stored.weight", (file.ids, file.columns), file.users)


def graded(file: File) -> Callable[[Index], Rows]:
    """Users, popular items and other items, in as many bits as each has."""
    head = min(file.items - 1, max(1, round(file.config["head"] * file.items)))
    counts = {"user": file.users, "head": head, "tail": file.items - head}
    grades, starts = [], [0, file.users, file.users + head]
    for name, count in counts.items():
        bits = file.config[f"{name}_bits"]
        users = count if name == "user" else None
        grades.append(Values(file, name, (count, file.columns), users, bits))

    def rows(ids: Index) -> Rows:
        place = (ids >= starts[1]).view(np.int8) + (ids >= starts[2])
        order = place.argsort(kind="stable")
        ends = np.bincount(place, minlength=3).cumsum().tolist()
        ordered, found = ids.take(order), np.empty((len(ids), file.columns), np.float32)
        for grade, start, first, last in zip(grades, starts, [0, *ends], ends, strict=False):
            if first < last:
                found[order[first:last]] = grade(ordered[first:last] - start)
        return found

    return rows


METHODS = {
    **dict.fromkeys(("full", "dims", "dims-quantised", "svd", "ptq"), table),
    **dict.fromkeys(("graded", "graded-post", "distilled"), graded),
}
