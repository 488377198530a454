"""Whether the users and items of a test part are those of the training part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.blocks import first_line_with
from bench.data.csr import CSR
from bench.data.labels import Labels
from bench.data.raw import shown
from bench.errors import DataError


def check_meeting(
    found: dict[str, CSR],
    paths: dict[str, Path],
    labels: tuple[Labels, Labels],
    repairs: Counter[str],
    verified: bool,
) -> None:
    """Count the users and items that a test or validation part has, but the training part lacks.

    Args:
        found: matrix of each given part.
        paths: file of each part.
        labels: of users and of items.
        repairs: takes the counts.
        verified: whether a card vouches for the content of the files.

    Raises:
        DataError: most users or most items of such a part have no training interaction.
    """
    for part in ("test", "valid"):
        if part not in found or "train" not in found:
            continue
        for axis, what in enumerate(("user", "item")):
            here, there = _used(found[part], axis), _used(found["train"], axis)
            unmet = np.setdiff1d(here, there, assume_unique=True)
            if not unmet.size:
                continue
            twin = labels[axis].twin(unmet, there)
            if 2 * unmet.size > here.size and not verified:
                raise _refusal(paths, part, what, labels[axis], unmet, here, twin)
            outcome = "kept" if what == "item" else "dropped"
            apart = f" (such as {twin[0]!r}; training has {twin[1]!r})" if twin else ""
            repairs[f"{part}: {what}s without training interactions {outcome}{apart}"] = unmet.size


def count_spellings(labels: tuple[Labels, Labels], repairs: Counter[str]) -> None:
    """Count labels that differ from another in spelling alone: they may be meant as one."""
    for what, known in zip(("user", "item"), labels, strict=True):
        times, pair = known.alike()
        if times:
            repairs[f"{what} ids that differ in spelling alone kept apart (such as {pair})"] = times


def _used(matrix: CSR, axis: int) -> NDArray[np.integer]:
    """The users (0) or items (1) with an interaction, rising."""
    if axis == 0:
        return np.flatnonzero(matrix.degrees())
    return np.flatnonzero(np.bincount(matrix.indices))


def _refusal(
    paths: dict[str, Path],
    part: str,
    what: str,
    labels: Labels,
    unmet: NDArray[np.integer],
    here: NDArray[np.integer],
    twin: tuple[str, str] | None,
) -> DataError:
    label = twin[0] if twin else labels.text(int(unmet[0]))
    where = f"{paths[part]}{first_line_with(paths[part], label)}"
    most = f"{unmet.size:,} of {here.size:,} {what}s have no training interaction"
    train = paths["train"].name
    if twin:
        return DataError(
            f"{where}: {what} {shown(label)} is in no row of {train}, which has {shown(twin[1])},"
            f" and so on: {most}; write the ids in both files the same way"
        )
    return DataError(
        f"{where}: {what} {shown(label)} is in no row of {train}, and so on: {most}; give parts of"
        " one data set, with the same ids in both files"
    )
