"""What to take: the rows of a board that fit a size and a latency, best first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.board.loading import Boards
from bench.board.model import Board, Entry, Row, UserScores
from bench.board.quantities import HEADLINE, quantity
from bench.board.significance import compare_rows
from bench.board.stats import Comparison
from bench.errors import BenchError
from bench.records.schema import Record


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
    def tied(self) -> bool:
        """Return whether the best choice was tested and is not better by more than noise."""
        return self.to_best is not None and self.to_best.tested and not self.to_best.significant

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
        larger: the best row of the next size up; None where there is none.
        gain: comparison of the larger row with the best choice; None where one of them is missing.
        notes: what else must be known: what has no latency, what is better without embeddings.
    """

    dataset: str
    split: str
    note: str
    choices: tuple[Choice, ...]
    larger: Choice | None
    gain: Comparison | None
    notes: tuple[str, ...]


def choose(
    boards: Boards,
    max_bytes: int,
    max_latency_us: float | None = None,
    backbone: str | None = None,
    dataset: str | None = None,
) -> tuple[Advice, ...]:
    """Return what fits, by data set, ranked by the headline metric on test.

    Where several sizes or settings of a method fit, the one that validation prefers is offered.
    Only ranked rows, the full table and the popularity ranking are considered.

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
    fitting: dict[tuple[str, str], Choice] = {}
    for choice in quick:
        if (choice.row.mean("bytes") or 0.0) > max_bytes:
            continue
        name = (choice.board.backbone if choice.embedded else "", choice.row.method)
        held = fitting.get(name)
        if held is None or choice.row.preference > held.row.preference:
            fitting[name] = choice
    ranked = sorted(fitting.values(), key=_order)
    ranked = _compared(ranked)
    floor = _reference(every)
    larger = _next_up([choice for choice in quick if _score(choice) > floor], max_bytes)
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
        tuple(_notes(boards, every, ranked, max_bytes, max_latency_us)),
    )


def _candidates(board: Board) -> Iterable[Choice]:
    for leaderboard in board.leaderboards:
        for entry in leaderboard.entries:
            yield Choice(entry.row, board, leaderboard.label)
    if board.ceiling:
        yield Choice(board.ceiling, board, "")
    for row in board.references:
        yield Choice(row, board, "")


def _score(choice: Choice) -> float:
    return choice.row.mean(HEADLINE) or 0.0


def _reference(choices: Iterable[Choice]) -> float:
    """Return what a ranking without embeddings reaches; -1 where none was run."""
    return max((_score(choice) for choice in choices if not choice.embedded), default=-1.0)


def _fast(choice: Choice, limit: float | None) -> bool:
    latency = choice.row.mean("latency")
    return limit is None or not choice.embedded or (latency is not None and latency <= limit)


def _order(choice: Choice) -> tuple[float, float, str]:
    return -(choice.row.mean(HEADLINE) or 0.0), choice.row.mean("bytes") or 0.0, choice.row.key


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


def _next_up(quick: Sequence[Choice], max_bytes: int) -> Choice | None:
    """Return the best row of the smallest budget that has a row above the limit."""
    above: dict[tuple[str, str], list[Choice]] = defaultdict(list)
    for choice in quick:
        if (choice.row.mean("bytes") or 0.0) > max_bytes:
            above[choice.board.backbone, choice.budget].append(choice)
    best = [min(choices, key=_order) for choices in above.values()]
    if not best:
        return None
    smallest = min(choice.row.mean("bytes") or 0.0 for choice in best)
    # The same budget on several backbones is one size: rows fill it to within a tenth or so.
    level = [c for c in best if (c.row.mean("bytes") or 0.0) <= 1.1 * smallest]
    return min(level, key=_order)


def _notes(
    boards: Sequence[Board],
    every: Sequence[Choice],
    ranked: Sequence[Choice],
    max_bytes: int,
    max_latency_us: float | None,
) -> Iterable[str]:
    every = [choice for choice in every if choice.embedded]
    ranked = [choice for choice in ranked if choice.embedded]
    small = [c for c in every if (c.row.mean("bytes") or 0.0) <= max_bytes]
    if max_latency_us is not None:
        unknown = sorted({c.row.label for c in small if c.row.mean("latency") is None})
        if unknown:
            yield ("latency not measured alone on the machine, so left out: " + ", ".join(unknown))
    if not ranked:
        sizes = [c.row.mean("bytes") or 0.0 for c in every]
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
        score = row.mean(HEADLINE) or 0.0
        beaten = [c.row.label for c in ranked if (c.row.mean(HEADLINE) or 0.0) <= score]
        if beaten:
            yield (
                f"{row.label} reaches {quantity(HEADLINE).text(score)} without any embedding, no "
                f"less than {', '.join(sorted(set(beaten)))}"
            )
    incomplete = sorted({e.row.label for board in boards for e in _unranked(board, max_bytes)})
    if incomplete:
        yield "not ranked for want of seeds, so left out: " + ", ".join(incomplete)


def _unranked(board: Board, max_bytes: int) -> Iterable[Entry]:
    for leaderboard in board.leaderboards:
        for entry in leaderboard.apart:
            if entry.incomplete and (entry.row.mean("bytes") or 0.0) <= max_bytes:
                yield entry


def verdict(advice: Advice) -> str:
    """Return the sentence that says how sure the first choice is."""
    first, *others = advice.choices
    name = f"Take {first.name}"
    floor = _reference(advice.choices)
    tied = [c for c in others if c.tied and (_score(c) > floor or not c.embedded)]
    # Popularity has one seed and is never tested, so the sentence is about tables alone.
    tables = [c for c in others if c.embedded]
    unknown = [c for c in tables if c.to_best is None or not c.to_best.tested]
    parts = []
    if tied:
        rivals = ", ".join(c.name for c in tied)
        parts.append(f"not better by more than noise than {rivals}, take the smallest or fastest")
    elif tables and not unknown:
        parts.append("better than every other table by more than noise")
    if unknown:
        parts.append("some differences could not be tested for want of seeds or per-user metrics")
    if first.embedded and first.row.numbers[HEADLINE].n == 1:
        parts.append("one seed, so noise between seeds is unknown")
    return f"{name}{': ' if parts else ''}{'; '.join(parts)}."


def latency_note(advice: Advice) -> str:
    """Return how to measure the first choice's time to look up a row; empty where it is known."""
    first = advice.choices[0] if advice.choices else None
    if first is None or not first.embedded or first.row.mean("latency") is not None:
        return ""
    return (
        f"The time to look up a row of {first.name} was not measured, because other runs shared the"
        f" machine. This run alone measures it: {first.run.command} --again"
    )


def next_up(advice: Advice) -> str:
    """Return the sentence that says what the next size up would change."""
    larger = advice.larger
    if larger is None:
        return "No larger size that meets the limits was measured."
    size = quantity("bytes").text(larger.row.mean("bytes"))
    what = f"{larger.name}, {size} bytes"
    if not advice.choices:
        return f"The next size up: {what}."
    before = advice.choices[0].row.mean(HEADLINE) or 0.0
    after = larger.row.mean(HEADLINE) or 0.0
    change = f"{after - before:+.4f} {quantity(HEADLINE).label}"
    if before:
        change += f" ({100 * (after / before - 1):+.1f} %)"
    sure = ", not tested"
    if advice.gain is not None and advice.gain.tested:
        sure = "" if advice.gain.significant else ", within noise"
        change += f", 95 % interval {advice.gain.low:+.4f} to {advice.gain.high:+.4f}"
    if after <= before:
        return f"The next size up ({what}) is no better: {change}{sure}."
    return f"The next size up ({what}) would buy {change}{sure}."
