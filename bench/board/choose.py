"""What to take: the rows of a board that fit a size and a latency, best first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.board.loading import Boards
from bench.board.model import Board, Entry, Row, UserScores
from bench.board.quantities import HEADLINE, quantity
from bench.board.significance import compare_rows
from bench.board.stats import LEAST_SEEDS, MARGIN, Comparison
from bench.errors import BenchError
from bench.records.schema import Record

_NAMED = 5  # the most names in a sentence


@dataclass(frozen=True)
class Choice:
    """A row that could be taken.

    Attributes:
        row: the row.
        board: the board that it stands on.
        budget: label of its budget; empty for the full table.
        to_best: comparison with the best choice; None for the best.
    """

    row: Row
    board: Board
    budget: str
    to_best: Comparison | None = None

    @property
    def embedded(self) -> bool:
        """Return whether it has an embedding; popularity, which has none, is a choice, too."""
        return self.row.role != "reference"

    @property
    def name(self) -> str:
        """Return the name for sentences: the method, and the backbone if it has one."""
        return f"{self.row.label} on {self.board.backbone}" if self.embedded else self.row.label

    @property
    def run(self) -> Record:
        """Return the run to take: of the row's seeds, the one that validation prefers."""

        def preference(record: Record) -> tuple[float, int]:
            return record.selection or 0.0, -record.spec.seed

        return max(self.row.records, key=preference)

    @property
    def unsure(self) -> bool:
        """Return whether the best choice was tested and is not better by more than noise."""
        return self.to_best is not None and self.to_best.unsure

    @property
    def close(self) -> bool:
        """Return whether it is as good as the best choice, up to the margin and noise."""
        if self.to_best is None:
            return False
        return self.to_best.close(score(self) - self.to_best.difference)

    @property
    def scores(self) -> UserScores | None:
        """Return its accuracy by test user; None without per-user metrics."""
        return self.board.scores.get(self.row.key)


@dataclass(frozen=True)
class Advice:
    """The choices on one split of one data set.

    Attributes:
        dataset: name of the data set.
        split: id of the split.
        note: what must be said wherever the data set is named.
        choices: what fits, best first: one row per method and backbone.
        larger: the smallest larger row that gains more than the margin; None where there is none.
        gain: comparison of the larger row with the best choice; None where one of them is missing.
        notes: what else must be known: what has no latency, what is better without embeddings.
        has_larger: a larger table was measured, whether it gains anything or not.
    """

    dataset: str
    split: str
    note: str
    choices: tuple[Choice, ...]
    larger: Choice | None
    gain: Comparison | None
    notes: tuple[str, ...]
    has_larger: bool


def choose(
    boards: Boards,
    max_bytes: int,
    max_latency_us: float | None = None,
    backbone: str | None = None,
    dataset: str | None = None,
) -> tuple[Advice, ...]:
    """Return what fits, by data set, ranked by the headline metric on test.

    Where several sizes or settings of a method fit, the one that validation prefers is offered.
    Only ranked rows, the full table and the popularity ranking are considered, and of these no row
    with fewer seeds than the tests need, where others that fit have as many.

    Args:
        boards: the boards.
        max_bytes: the most that the stored embedding may take.
        max_latency_us: the longest time to rebuild one row, in microseconds; None for no limit.
            Rows whose latency was not measured alone on the machine do not qualify.
        backbone: only this backbone.
        dataset: only this data set, by name or split id.

    Raises:
        BenchError: a limit that is not positive, or a backbone or data set without runs.
    """
    if max_bytes <= 0:
        raise BenchError(f"--max-bytes is {max_bytes}; expected a positive size such as 256KB")
    if max_latency_us is not None and max_latency_us <= 0:
        raise BenchError(f"--max-latency is {max_latency_us}; expected positive microseconds")
    by_split: dict[str, list[Board]] = defaultdict(list)
    for board in boards.boards:
        if dataset in (None, board.dataset, board.split) and backbone in (None, board.backbone):
            by_split[board.split].append(board)
    if not by_split:
        known = ", ".join(f"{board.dataset}/{board.backbone}" for board in boards.boards)
        asked = " and ".join(
            f"{what} {name!r}"
            for what, name in (("data set", dataset), ("backbone", backbone))
            if name
        )
        raise BenchError(
            f"no runs for {asked or 'any data set'} in {boards.results}; "
            + (f"there are {known}" if known else boards.unused or "`bench leaderboard` makes some")
        )
    return tuple(
        _advice(_newest(chosen), max_bytes, max_latency_us)
        for _, chosen in sorted(by_split.items())
    )


def _newest(boards: Sequence[Board]) -> list[Board]:
    """Return the boards of the latest protocol; others are not comparable with them."""
    latest = max(board.version for board in boards)
    return [board for board in boards if board.version == latest]


def _advice(boards: Sequence[Board], max_bytes: int, max_latency_us: float | None) -> Advice:
    every = [choice for board in boards for choice in _candidates(board)]
    quick = [choice for choice in every if _fast(choice, max_latency_us)]
    fitting, few = _with_seeds([choice for choice in quick if size(choice) <= max_bytes])
    ranked = _compared(sorted(_preferred(fitting), key=_order))
    floor = max(reference(every), (1 + MARGIN) * score(ranked[0]) if ranked else 0.0)
    sound, _ = _with_seeds(quick)
    above = _preferred((c for c in sound if size(c) > max_bytes), by_budget=True)
    larger = min((choice for choice in above if score(choice) > floor), key=size, default=None)
    gain = None
    if ranked and larger:
        best = ranked[0]
        (gain,) = compare_rows([(larger.row, larger.scores, best.row, best.scores)])
    first = boards[0]
    return Advice(
        first.dataset,
        first.split,
        first.note,
        tuple(ranked),
        larger,
        gain,
        tuple(_notes(boards, every, few, ranked, max_bytes, max_latency_us)),
        any(size(choice) > max_bytes for choice in quick),
    )


def _candidates(board: Board) -> Iterable[Choice]:
    for leaderboard in board.leaderboards:
        for entry in leaderboard.entries:
            yield Choice(entry.row, board, leaderboard.label)
    if board.ceiling:
        yield Choice(board.ceiling, board, "")
    for row in board.references:
        yield Choice(row, board, "")


def _with_seeds(choices: Sequence[Choice]) -> tuple[list[Choice], list[Choice]]:
    """Return the choices that have seeds enough, and the others.

    Where one row has as many seeds as the tests need, no row with fewer can be called better.
    """
    most = max((len(one.row.seeds) for one in choices if one.embedded), default=0)
    least = min(most, LEAST_SEEDS)
    enough = [one for one in choices if not one.embedded or len(one.row.seeds) >= least]
    return enough, [one for one in choices if one.embedded and len(one.row.seeds) < least]


def _preferred(choices: Iterable[Choice], by_budget: bool = False) -> list[Choice]:
    """Return the choice that validation prefers, of each method under each backbone."""
    found: dict[tuple[str, ...], Choice] = {}
    for choice in choices:
        backbone = choice.board.backbone if choice.embedded else ""
        name = (backbone, choice.row.method, choice.budget if by_budget else "")
        held = found.get(name)
        if held is None or choice.row.preference > held.row.preference:
            found[name] = choice
    return list(found.values())


def score(choice: Choice) -> float:
    """Return the headline of a choice, by which all is ranked."""
    return choice.row.mean(HEADLINE) or 0.0


def size(choice: Choice) -> float:
    """Return the bytes of a choice."""
    return choice.row.mean("bytes") or 0.0


def reference(choices: Iterable[Choice]) -> float:
    """Return what a ranking without embeddings reaches; -1 where none was run."""
    return max((score(choice) for choice in choices if not choice.embedded), default=-1.0)


def _fast(choice: Choice, limit: float | None) -> bool:
    latency = choice.row.mean("latency")
    return limit is None or not choice.embedded or (latency is not None and latency <= limit)


def _order(choice: Choice) -> tuple[float, float, str]:
    return -score(choice), size(choice), choice.row.key


def _compared(ranked: Sequence[Choice]) -> list[Choice]:
    if not ranked:
        return []
    best = ranked[0]
    pairs = [(c.row, c.scores, best.row, best.scores) for c in ranked[1:]]
    found = compare_rows(pairs, best_of=len(ranked))
    others = (
        Choice(c.row, c.board, c.budget, one) for c, one in zip(ranked[1:], found, strict=True)
    )
    return [best, *others]


def _notes(
    boards: Sequence[Board],
    every: Sequence[Choice],
    few: Sequence[Choice],
    ranked: Sequence[Choice],
    max_bytes: int,
    max_latency_us: float | None,
) -> Iterable[str]:
    every = [choice for choice in every if choice.embedded]
    ranked = [choice for choice in ranked if choice.embedded]
    small = [c for c in every if size(c) <= max_bytes]
    if max_latency_us is not None:
        unknown = sorted({c.row.label for c in small if c.row.mean("latency") is None})
        if unknown:
            yield ("latency not measured alone on the machine, so left out: " + ", ".join(unknown))
    if not ranked:
        sizes = [size(c) for c in every]
        minima = [
            gap.minimum
            for board in boards
            for leaderboard in board.leaderboards
            for gap in leaderboard.gaps
            if gap.minimum is not None and leaderboard.accounting == "bytes"
        ]
        smallest = min([*sizes, *minima], default=None)
        if small and all(c.row.mean("latency") is None for c in small):
            yield "of no table of that size is the time to look up a row known"
        elif small:
            yield "nothing of that size is fast enough"
        elif smallest is not None:
            yield f"nothing fits; the smallest table that is known has {smallest:,.0f} bytes"
    for row in {row.key: row for board in boards for row in board.references}.values():
        without = row.mean(HEADLINE) or 0.0
        beaten = [c.row.label for c in ranked if score(c) <= without]
        if beaten:
            yield (
                f"{row.label} reaches {quantity(HEADLINE).text(without)} without any embedding, no "
                f"less than {', '.join(sorted(set(beaten)))}"
            )
    incomplete = {e.row.label for board in boards for e in _unranked(board, max_bytes)}
    incomplete |= {f"{c.row.title} on {c.board.backbone}" for c in few}
    if incomplete:
        yield "not ranked for want of seeds, so left out: " + some(sorted(incomplete))


def some(names: Sequence[str]) -> str:
    """Return a list of names for a sentence: all, or the first and a count of the others."""
    if len(names) <= _NAMED:
        return ", ".join(names)
    return ", ".join(names[: _NAMED - 1]) + f" and {len(names) - _NAMED + 1} others"


def _unranked(board: Board, max_bytes: int) -> Iterable[Entry]:
    for leaderboard in board.leaderboards:
        for entry in leaderboard.apart:
            if entry.incomplete and (entry.row.mean("bytes") or 0.0) <= max_bytes:
                yield entry
