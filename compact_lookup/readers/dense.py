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
        found = np.empty((len(ids), file.columns), np.float32)
        place = (ids >= starts[1]).view(np.int8) + (ids >= starts[2])
        for number, grade in enumerate(grades):
            here = (place == number).nonzero()[0]
            if len(here):
                found[here] = grade(ids.take(here) - starts[number])
        return found

    return rows


METHODS = {
    **dict.fromkeys(("full", "dims", "dims-quantised", "svd", "ptq"), table),
    **dict.fromkeys(("graded", "graded-post"), graded),
}
