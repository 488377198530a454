"""The boards as one markdown page."""

from __future__ import annotations

from collections.abc import Iterable

from tabulate import tabulate

from bench.board import Board, Boards, Entry, Gap, Leaderboard
from bench.board.quantities import CUTOFFS, HEADLINE, quantity
from bench.board.stats import LEAST_SEEDS
from bench.board.trials import trials_statement
from bench.records.schema import PROTOCOL, canonical_json
from bench.report import backbones, datasets, popularity, precision
from bench.report.splits import split_statement
from bench.report.tables import MARKS, leaderboard_columns, markdown, marks, p_text, wide_columns

FORMULAS = (
    "Recall@k = hits among the first k / test items of the user. "
    "NDCG@k = DCG@k / ideal DCG@k with DCG@k = sum over hits of 1 / log2(rank + 1) and the ideal "
    "over min(k, test items of the user). Mean over users with at least one test item. "
    "Full ranking over all items; items of train and validation are masked."
)
"""How the accuracy metrics are defined."""

METHODOLOGY = (
    "Mean, standard deviation and Student's 95 % interval over seeds. Δ: difference of the means. "
    "p: two-sided t-test; its variance is that of the differences by test user plus that between "
    "seeds, its degrees of freedom are Satterthwaite's. It is corrected over the rows of a budget: "
    "by Holm's method, and for differences from the best row, which the same numbers picked, by "
    "Tukey's. "
    f"With fewer than {LEAST_SEEDS} seeds, or without per-user metrics, Δ is shown without p, and "
    "there is no ★ or †. The epoch is chosen on the validation split; the test "
    "split is scored once."
)
"""How the statistics are made."""


def title(board: Board) -> str:
    """Return the heading of a board."""
    return f"{board.dataset} · {board.backbone}{board.era}"


def standing(board: Board) -> str:
    """Return the sentence that says that a board's protocol is an earlier one; empty if not."""
    if not board.old:
        return ""
    return (
        f"These runs were made under protocol {board.version}. Today's is {PROTOCOL}: its rules"
        " differ, so numbers of the two cannot be compared."
    )


def counts(board: Board) -> str:
    """Return the sentence with the counts of the data."""
    data = board.data.data
    repairs = "".join(f"; {name}: {value}" for name, value in sorted(data.repairs.items()))
    large = [str(k) for k in CUTOFFS if k > data.items]
    remark = (
        f" The catalogue has fewer than {' and '.join(large)} items: at these cut-offs, metrics "
        "rank all of it."
        if large
        else ""
    )
    return (
        f"Split {board.split}: {data.users:,} users, {data.items:,} items, {data.train:,} train, "
        f"{data.valid:,} validation and {data.test:,} test interactions{repairs}.{remark}"
    )


def budget_title(leaderboard: Leaderboard) -> str:
    """Return the heading of a leaderboard."""
    if leaderboard.cap is None:
        return "No budget"
    return f"Budget {leaderboard.label} (at most {leaderboard.cap:,} {leaderboard.accounting})"


def gap_text(gap: Gap, accounting: str) -> str:
    """Return the line about runs without numbers."""
    seeds = f"seed {gap.seeds[0]}" if len(gap.seeds) == 1 else (
        "seeds " + ", ".join(str(seed) for seed in gap.seeds)
    )  # fmt: skip
    if gap.status == "infeasible":
        if gap.minimum is None:
            return f"{gap.title}: infeasible ({seeds}): {gap.message}"
        return f"{gap.title}: infeasible, needs at least {gap.minimum:,} {accounting}"
    message = f": {gap.message.splitlines()[0]}" if gap.message else ""
    return f"{gap.title}: {gap.status} ({seeds}){message}"


def render(boards: Boards, *, figures: bool = True) -> str:
    """Return the page.

    Args:
        boards: what to show.
        figures: refer to the figures beside the page.
    """
    parts = ["# Compact embeddings under equal budgets", ""]
    if not boards.boards:
        parts += ["There are no runs to show yet.", ""]
    else:
        parts += [f"{FORMULAS}", "", METHODOLOGY, ""]
        signs = (f"{sign} {meaning}" for sign, meaning in MARKS.items())
        parts += ["Marks: " + "; ".join(signs) + ".", ""]
        parts += ["Controls stand among the rows; the full table and the reference are unranked. "
                  "Empty means not measured.", ""]  # fmt: skip
    for old in (False, True):
        chosen = [board for board in boards.boards if board.old == old]
        if old and chosen:
            parts += ["# Earlier protocols", "", standing(chosen[0]), ""]
        for board in chosen:
            parts += _board(board, figures)
        for one in boards.backbones:
            if bool(one.era) == old:
                parts += backbones.section(one, figures=figures)
        if not old:
            for across in boards.datasets:
                parts += datasets.section(across, figures=figures)
    parts += _rejected(boards)
    text = "\n".join(parts).rstrip() + "\n"
    # The page has no HTML of its own, so whatever looks like it is text of a user or a plugin.
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _board(board: Board, figures: bool) -> Iterable[str]:
    yield f"## {title(board)}"
    yield ""
    yield from _data(board)
    yield ""
    if figures:
        ranked = any(leaderboard.entries for leaderboard in board.leaderboards)
        for name, what, drawn in (
            ("bytes", "accuracy versus stored bytes", True),
            ("values", "accuracy versus stored values", True),
            ("spend", "what the budget is spent on", ranked),
            ("popularity", "rare and popular items", bool(popularity.profiles(board))),
            ("learning", "learning curves", _has_history(board)),
        ):
            if not drawn:
                continue
            yield f"![{title(board)}: {what}](figures/{board.slug}-{name}.png)"
            yield ""
    if not board.leaderboards:
        yield _top(board)
        yield ""
    yield from _overview(board)
    if precision.cells(board):
        if figures:
            yield f"![{title(board)}: what precision buys](figures/{board.slug}-precision.png)"
            yield ""
        yield from precision.section(board)
    for leaderboard in board.leaderboards:
        yield from _leaderboard(board, leaderboard)
    yield from _ranking(board)
    yield from _wide(board)
    yield from _protocol(board)


def _has_history(board: Board) -> bool:
    return any(
        record.history
        for leaderboard in board.leaderboards
        for entry in leaderboard.entries
        for record in entry.row.records
    )


def _data(board: Board) -> Iterable[str]:
    yield f"{counts(board)} {split_statement(board)}"
    if statement := trials_statement(board):
        yield ""
        yield statement
    if board.note:
        yield ""
        yield f"**Note on {board.dataset}:** {board.note}"


def _reference_entries(board: Board) -> list[Entry]:
    return [entry for leaderboard, entry in board.rows() if leaderboard is None]


def _top(board: Board) -> str:
    empty = Leaderboard("", None, "", 0, (), (), (), None)
    return markdown(board, _reference_entries(board), leaderboard_columns(empty))


_FEWER = "°: the row has fewer seeds than others and is not ranked."


def _overview(board: Board) -> Iterable[str]:
    """All budgets at a glance, where there are several: one row a method, best first."""
    leaderboards = [
        leaderboard for leaderboard in board.leaderboards if leaderboard.cap is not None
    ]
    if len(leaderboards) < 2:
        return
    cells: dict[str, dict[str, Entry]] = {}
    for leaderboard in leaderboards:
        for entry in leaderboard.chosen.values():
            cells.setdefault(entry.row.title, {})[leaderboard.label] = entry

    def average(title: str) -> float:
        return -sum(entry.row.mean(HEADLINE) or 0.0 for entry in cells[title].values())

    rows = [
        [entry.row.label, *[_spread(entry)] * len(leaderboards)]
        for entry in _reference_entries(board)
    ]
    for title in sorted(cells, key=lambda title: (average(title), title)):
        found = [cells[title].get(leaderboard.label) for leaderboard in leaderboards]
        rows.append([title, *(_spread(one) + marks(one) if one else "" for one in found)])
    yield f"### {quantity(HEADLINE).axis} at all budgets"
    yield ""
    yield tabulate(
        rows,
        headers=["Method", *(leaderboard.label for leaderboard in leaderboards)],
        tablefmt="pipe",
        colalign=["left"] + ["right"] * len(leaderboards),
        disable_numparse=True,
    )
    yield ""
    yield (
        "Mean ± standard deviation over seeds. A number without ± is from one seed. If a method has"
        f" several rows at a budget, the one with the best validation score is shown. {_FEWER}"
    )
    yield ""


def _spread(entry: Entry) -> str:
    number = entry.row.numbers.get(HEADLINE)
    if number is None or number.mean is None:
        return ""
    text = quantity(HEADLINE).text(number.mean)
    few = "°" if entry.incomplete else ""
    return (text if number.sd is None else f"{text} ± {number.sd:.4f}") + few


def _leaderboard(board: Board, leaderboard: Leaderboard) -> Iterable[str]:
    yield f"### {budget_title(leaderboard)}"
    yield ""
    entries = [*_reference_entries(board), *leaderboard.entries]
    yield markdown(board, entries, leaderboard_columns(leaderboard))
    yield ""
    if checked := more_passes(board, leaderboard):
        yield checked
        yield ""
    lines = [f"- {entry.row.label}: {entry.reason}" for entry in leaderboard.apart]
    if leaderboard.apart:
        yield "Not ranked:"
        yield ""
        yield markdown(board, leaderboard.apart, leaderboard_columns(leaderboard))
        yield ""
        yield from lines
        yield ""
    if leaderboard.gaps:
        yield "Without numbers:"
        yield ""
        yield from (f"- {gap_text(gap, leaderboard.accounting)}" for gap in leaderboard.gaps)
        yield ""


def more_passes(board: Board, leaderboard: Leaderboard) -> str:
    """Return the sentence on what more passes bring to rows; empty where it was not measured."""
    text = "; ".join(
        f"{entry.row.label} {100 * more.gain:+.1f} %"
        f" ({more.epochs} passes, {len(more.seeds)} seeds)"
        for entry in (*_reference_entries(board), *leaderboard.entries)
        if (more := entry.row.longer)
    )
    return f"Gain in validation NDCG@20 from more passes: {text}." if text else ""


def _ranking(board: Board) -> Iterable[str]:
    ranking = board.ranking
    if ranking is None:
        return
    yield "### Average rank over the budgets"
    yield ""
    yield tabulate(
        [[name, f"{rank:.2f}"] for name, rank in zip(ranking.names, ranking.ranks, strict=True)],
        headers=["Method", "Average rank ↓"],
        tablefmt="pipe",
        colalign=["left", "right"],
        disable_numparse=True,
    )
    yield ""
    yield ranking_text(board)
    yield ""


def ranking_text(board: Board) -> str:
    """Return the sentence that says which average ranks differ by more than chance."""
    ranking = board.ranking
    if ranking is None or ranking.p is None or ranking.critical is None:
        return ""
    counted = f" of {ranking.accounting}" if ranking.accounting else ""
    what = f"Methods that stand on all {ranking.boards} budgets{counted}, by NDCG@20."
    verdict = "differ" if ranking.p < 0.05 else "do not differ significantly"
    return (
        f"{what} Friedman {p_text(ranking.p)}: the ranks {verdict}. Two methods differ (Nemenyi, "
        f"5 %) when their average ranks are {ranking.critical:.2f} or more apart. Budgets of one "
        "data set are not independent, so take this as a description rather than a proof."
    )


def _wide(board: Board) -> Iterable[str]:
    yield "### Everything else that was measured"
    yield ""
    entries = _reference_entries(board)
    if entries:
        yield markdown(board, entries, wide_columns())
        yield ""
    for leaderboard in board.leaderboards:
        if not leaderboard.entries:
            continue
        yield f"Budget {leaderboard.label}:" if leaderboard.cap else "No budget:"
        yield ""
        yield markdown(board, leaderboard.entries, wide_columns())
        yield ""


def _protocol(board: Board) -> Iterable[str]:
    yield "### Protocol"
    yield ""
    yield f"Protocol `{board.protocol_hash}`. Rows with another protocol are shown apart."
    yield ""
    yield tabulate(
        [[key, f"`{value_text(value)}`"] for key, value in board.protocol.items()],
        headers=["Field", "Value"],
        tablefmt="pipe",
        disable_numparse=True,
    )
    yield ""


def value_text(value: object) -> str:
    """Return a value of a protocol or configuration as text."""
    return value if isinstance(value, str) else canonical_json(value)


def _rejected(boards: Boards) -> Iterable[str]:
    if not boards.rejected:
        return
    yield "## Files left out"
    yield ""
    yield "These files are not good records. Nothing of them is in any table or figure."
    yield ""
    for file in boards.rejected:
        yield f"- `{file.path}`: {file.reason}"
    yield ""
