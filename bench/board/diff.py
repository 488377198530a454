"""Two results folders compared: which rows moved by more than noise."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from bench.board.loading import Boards, load
from bench.board.model import Board, Row
from bench.board.quantities import HEADLINE, quantity
from bench.board.significance import compare_rows
from bench.board.stats import LEAST_SEEDS, Comparison
from bench.errors import BenchError
from bench.records.protocol import differences
from bench.records.scan import Rejected
from bench.records.schema import canonical_json

MOVED = ("worse", "better", "resized", "gone", "new", "not comparable", "untested")
"""Verdicts that a reader must look at, most alarming first."""


@dataclass(frozen=True)
class Change:
    """What became of a row.

    Attributes:
        place: data set split, backbone, budget.
        title: the method.
        verdict: "worse" or "better" by more than noise; "resized" within noise but of another
            size; "gone", "new"; "not comparable" under another protocol; "untested" where the
            numbers differ and seeds or per-user metrics are missing; "noise"; "same".
        before: the row of the first folder.
        after: the row of the second.
        comparison: of the second with the first; Holm-corrected over all rows.
        reason: more about it.
    """

    place: tuple[str, str, str]
    title: str
    verdict: str
    before: Row | None
    after: Row | None
    comparison: Comparison | None = None
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """All rows of two folders.

    Attributes:
        changes: every row of either, most alarming first.
        rejected: files of either folder that are no good records.
    """

    changes: tuple[Change, ...]
    rejected: tuple[Rejected, ...]

    @property
    def moved(self) -> tuple[Change, ...]:
        """Return the rows that moved beyond noise, or could not be compared."""
        return tuple(change for change in self.changes if change.verdict in MOVED)

    @property
    def worse(self) -> bool:
        """Return whether something got worse or lost, for a CI job to fail on."""
        return any(change.verdict in ("worse", "gone") for change in self.changes)


_Key = tuple[str, str, str, str]
_Placed = tuple[Row, Board]


def diff(a: Path, b: Path) -> Difference:
    """Compare two results folders, row by row.

    Rows are matched by data, backbone, budget and method, so that another revision or
    configuration of a method is compared with the one that it replaces. Where there are several
    on one side, rows of equal specs are matched, then rows of equal settings if each side has one:
    their revision or file may differ. The rest is gone or new.

    Args:
        a: the folder before.
        b: the folder after.

    Raises:
        BenchError: one of them is not a folder.
    """
    for folder in (a, b):
        if not folder.is_dir():
            raise BenchError(f"{folder}: no such results folder")
    before, after = load(a), load(b)
    old, new = _rows(before), _rows(after)
    pairs: list[tuple[_Key, _Placed | None, _Placed | None]] = []
    for key in sorted(set(old) | set(new)):
        pairs += [(key, one, other) for one, other in _matched(old[key], new[key])]
    tested = [
        (right[0], right[1].scores.get(right[0].key), left[0], left[1].scores.get(left[0].key))
        for _, left, right in pairs
        if left and right
    ]
    comparisons = iter(compare_rows(tested))
    changes = [
        _change(key, left, right, next(comparisons) if left and right else None)
        for key, left, right in pairs
    ]
    order = {verdict: place for place, verdict in enumerate((*MOVED, "noise", "same"))}
    changes.sort(key=lambda c: (order[c.verdict], c.place, c.title))
    return Difference(tuple(changes), (*before.rejected, *after.rejected))


@contextmanager
def opened(source: str, results: Path = Path("results")) -> Iterator[Path]:
    """Give the folder that a name stands for: a folder, or a git revision of `results`.

    Args:
        source: path of a folder, else a revision such as "main" or "v0.1".
        results: the results folder inside the repository, relative to the working directory.

    Yields:
        The folder; that of a revision is temporary.

    Raises:
        BenchError: neither a folder nor a revision that has the results folder.
    """
    if Path(source).is_dir():
        yield Path(source)
        return
    if source.startswith("-"):
        raise BenchError(f"{source}: neither a folder nor a git revision")
    command = ["git", "archive", "--format=tar", f"{source}:./{results.as_posix()}"]
    try:
        packed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(
            f"{source}: neither a folder nor a git revision that has {results}/"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive.getmembers():
                # Records and their arrays only: no links, nothing outside of the folder.
                path = Path(member.name)
                if member.isfile() and not path.is_absolute() and ".." not in path.parts:
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    target = Path(folder) / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
        yield Path(folder)


def _rows(boards: Boards) -> dict[_Key, list[_Placed]]:
    found: dict[_Key, list[_Placed]] = defaultdict(list)
    seen: set[str] = set()
    for board in boards.boards:
        for leaderboard, entry in board.rows():
            # A reference stands in every board of its data; a superseded row is history.
            if entry.row.key in seen or (entry.reason and "superseded" in entry.reason):
                continue
            seen.add(entry.row.key)
            budget = f"{leaderboard.cap} {leaderboard.accounting}" if leaderboard else ""
            spec = entry.row.first.spec
            key = (board.split, spec.backbone.name, budget, entry.row.method)
            # Boards of later protocols come first; what they have replaced is history.
            if not found[key] or found[key][0][1].version == board.version:
                found[key].append((entry.row, board))
    return found


def _matched(
    old: Sequence[_Placed], new: Sequence[_Placed]
) -> Iterable[tuple[_Placed | None, _Placed | None]]:
    """Yield every row of a key once: with the row that it is compared with, or alone."""
    if len(old) == len(new) == 1:
        yield old[0], new[0]
        return
    left, right = ({row.key: (row, board) for row, board in side} for side in (old, new))
    # The key of a row is the hash of its spec.
    for identity in (lambda row: row.key, _settings):
        for one, other in _pairs(left, right, identity):
            yield left.pop(one), right.pop(other)
    yield from ((placed, None) for placed in left.values())
    yield from ((None, placed) for placed in right.values())


def _pairs(
    left: Mapping[str, _Placed], right: Mapping[str, _Placed], identity: Callable[[Row], str]
) -> list[tuple[str, str]]:
    """Return the keys of rows that are alike and have no like on their own side."""
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((left, right)):
        for key, (row, _) in rows.items():
            found[identity(row)][side].append(key)
    return [(one[0], other[0]) for one, other in found.values() if len(one) == len(other) == 1]


def _settings(row: Row) -> str:
    spec = row.first.spec
    method, backbone = spec.method.config, spec.backbone.config
    return canonical_json([method, spec.training, spec.teacher, backbone, spec.dim])


def _change(
    key: _Key,
    left: _Placed | None,
    right: _Placed | None,
    comparison: Comparison | None,
) -> Change:
    before, after = left[0] if left else None, right[0] if right else None
    known = after or before
    assert known is not None  # a key comes from one of the two
    budget = known.first.budget.label if known.first.budget else ""
    place = (key[0], key[1], budget)
    title = known.title

    def result(verdict: str, reason: str = "") -> Change:
        return Change(place, title, verdict, before, after, comparison, reason)

    if before is None:
        return result("new")
    if after is None:
        return result("gone")
    if found := differences(after.protocol, before.protocol):
        return result("not comparable", "; ".join(found))
    resized = before.mean("bytes") != after.mean("bytes") or before.mean("values") != after.mean(
        "values"
    )
    size = ""
    if resized:
        text = quantity("bytes").text
        size = f"{text(before.mean('bytes'))} → {text(after.mean('bytes'))} bytes"
    if before.numbers[HEADLINE] == after.numbers[HEADLINE] and not resized:
        return result("same")
    if comparison is None or not comparison.tested:
        missing = f"fewer than {LEAST_SEEDS} seeds, or no per-user metrics of the same users"
        return result("untested", f"{missing}; {size}" if size else missing)
    if comparison.significant:
        return result("better" if comparison.difference > 0 else "worse", size)
    return result("resized" if resized else "noise", size)


def render_diff(difference: Difference) -> str:
    """Return the rows that moved as markdown, with a count of those that did not."""
    lines = []
    moved = difference.moved
    if moved:
        lines += [
            tabulate(
                [_cells(change) for change in moved],
                headers=[
                    "Verdict", "Split", "Backbone", "Budget", "Method", "Before", "After",
                    f"Δ {quantity(HEADLINE).label}", "95 % interval", "p (Holm)", "More",
                ],
                tablefmt="pipe",
                colalign=["left"] * 5 + ["right"] * 5 + ["left"],
                disable_numparse=True,
            ),
            "",
        ]  # fmt: skip
    count = {v: sum(c.verdict == v for c in difference.changes) for v in ("same", "noise")}
    lines.append(
        f"{len(moved)} of {len(difference.changes)} rows moved; {count['same']} are the same, "
        f"{count['noise']} differ within noise."
    )
    lines += [f"Left out: {file.path}: {file.reason}" for file in difference.rejected]
    return "\n".join(lines) + "\n"


def _cells(change: Change) -> list[str]:
    text = quantity(HEADLINE).text
    comparison = change.comparison
    low, high, p = (
        (comparison.low, comparison.high, comparison.corrected) if comparison else (None,) * 3
    )
    split, backbone, budget = change.place
    return [
        change.verdict,
        split,
        backbone,
        budget,
        change.title,
        text(change.before.mean(HEADLINE)) if change.before else "",
        text(change.after.mean(HEADLINE)) if change.after else "",
        f"{comparison.difference:+.4f}" if comparison else "",
        "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}",
        "" if p is None else f"{p:.3f}",
        change.reason,
    ]
