"""The board as one markdown page."""

from __future__ import annotations

from collections.abc import Iterable

from tabulate import tabulate

from bench.board import Board, Entry, Gap, Group, Leaderboard
from bench.board.quantities import HEADLINE, QUANTITIES, quantity
from bench.board.stats import RESAMPLES
from bench.records.schema import canonical_json
from bench.report import across
from bench.report.tables import MARKS, leaderboard_columns, markdown, marks, wide_columns

FORMULAS = (
    "Recall@k = hits among the first k / test items of the user. "
    "NDCG@k = DCG@k / ideal DCG@k with DCG@k = sum over hits of 1 / log2(rank + 1) and the ideal "
    "over min(k, test items of the user). Mean over users with at least one test item. "
    "Full ranking over all items; items of train and validation are masked."
)
"""How the accuracy metrics are defined."""

METHODOLOGY = (
    "Mean, standard deviation and Student's 95 % interval over seeds. Δ and p: paired bootstrap "
    f"over test users ({RESAMPLES:,} resamples, the noise between seeds added where there are "
    "several), two-sided, Holm-corrected over the rows of a budget. Without per-user metrics: "
    "n/a, and the marks go by the means. The epoch is chosen on the validation split; the test "
    "split is scored once."
)
"""How the statistics are made."""


def split_statement(group: Group) -> str:
    """Return the sentence that says how test data was split off."""
    if group.temporal:
        return "The split is temporal: test interactions are later than train interactions."
    return (
        "The split is random, not temporal: numbers say how well held-out interactions are "
        "recovered, not how well the future is predicted."
    )


def title(group: Group) -> str:
    """Return the heading of a group."""
    return f"{group.dataset} · {group.backbone}"


def counts(group: Group) -> str:
    """Return the sentence with the counts of the data."""
    data = group.data.data
    repairs = "".join(f"; {name}: {value}" for name, value in sorted(data.repairs.items()))
    return (
        f"Split {group.split}: {data.users:,} users, {data.items:,} items, {data.train:,} train, "
        f"{data.valid:,} validation and {data.test:,} test interactions{repairs}."
    )


def budget_title(board: Leaderboard) -> str:
    """Return the heading of a leaderboard."""
    if board.cap is None:
        return "No budget"
    return f"Budget {board.label} (at most {board.cap:,} {board.accounting})"


def gap_text(gap: Gap, accounting: str) -> str:
    """Return the line about runs without numbers."""
    seeds = f"seed {gap.seeds[0]}" if len(gap.seeds) == 1 else (
        "seeds " + ", ".join(str(seed) for seed in gap.seeds)
    )  # fmt: skip
    if gap.status == "infeasible":
        need = f"needs at least {gap.minimum:,} {accounting}" if gap.minimum is not None else ""
        return f"{gap.title}: infeasible{', ' + need if need else ''}"
    message = f": {gap.message.splitlines()[0]}" if gap.message else ""
    return f"{gap.title}: {gap.status} ({seeds}){message}"


def render(board: Board, *, figures: bool = True) -> str:
    """Return the page.

    Args:
        board: what to show.
        figures: refer to the figures beside the page.
    """
    parts = ["# Compact embeddings under equal budgets", ""]
    if not board.groups:
        parts += ["There are no runs to show yet.", ""]
    else:
        parts += [f"{FORMULAS}", "", METHODOLOGY, ""]
        signs = (f"{sign} {meaning}" for sign, meaning in MARKS.items())
        parts += ["Marks: " + "; ".join(signs) + ".", ""]
        parts += ["Controls stand among the rows; the full table and the reference are unranked. "
                  "Empty means not measured.", ""]  # fmt: skip
    for group in board.groups:
        parts += _group(group, figures)
    for one in board.across:
        parts += across.section(one, figures=figures)
    parts += _rejected(board)
    return "\n".join(parts).rstrip() + "\n"


def render_group(group: Group) -> str:
    """Return the leaderboards of one group, without figures and appendices."""
    parts: list[str] = [f"{title(group)}", *_data(group), ""]
    for board in group.boards:
        parts += _leaderboard(group, board)
    if not group.boards:
        parts += [_top(group), ""]
    return "\n".join(parts).rstrip() + "\n"


def _group(group: Group, figures: bool) -> Iterable[str]:
    yield f"## {title(group)}"
    yield ""
    yield from _data(group)
    yield ""
    if figures:
        for name, what in (
            ("bytes", "accuracy versus stored bytes"),
            ("values", "accuracy versus stored values"),
            ("spend", "what the budget is spent on"),
            ("learning", "learning curves"),
        ):
            if name == "learning" and not _has_history(group):
                continue
            if name == "spend" and not any(board.entries for board in group.boards):
                continue
            yield f"![{title(group)}: {what}](figures/{group.slug}-{name}.png)"
            yield ""
    if not group.boards:
        yield _top(group)
        yield ""
    yield from _overview(group)
    for board in group.boards:
        yield from _leaderboard(group, board)
    yield from _ranking(group)
    yield from _wide(group)
    yield from _passport(group)


def _has_history(group: Group) -> bool:
    return any(
        record.history
        for board in group.boards
        for entry in board.entries
        for record in entry.row.records
    )


def _data(group: Group) -> Iterable[str]:
    yield f"{counts(group)} {split_statement(group)}"
    if group.note:
        yield ""
        yield f"**Note on {group.dataset}:** {group.note}"


def _reference_entries(group: Group) -> list[Entry]:
    return [entry for board, entry in group.rows() if board is None]


def _top(group: Group) -> str:
    empty = Leaderboard("", None, "", 0, (), (), (), "")
    return markdown(group, _reference_entries(group), leaderboard_columns(empty))


_FEWER = "°: fewer seeds than others, therefore not ranked."


def _overview(group: Group) -> Iterable[str]:
    """All budgets at a glance, where there are several: one row a method, best first."""
    boards = [board for board in group.boards if board.cap is not None]
    if len(boards) < 2:
        return
    cells: dict[str, dict[str, Entry]] = {}
    for board in boards:
        for entry in board.entries:
            cells.setdefault(entry.row.first.method.title, {}).setdefault(board.label, entry)
        for entry in board.apart:
            if entry.incomplete:
                cells.setdefault(entry.row.first.method.title, {}).setdefault(board.label, entry)

    def average(title: str) -> float:
        return -sum(entry.row.mean(HEADLINE) or 0.0 for entry in cells[title].values())

    rows = [
        [entry.row.label, *[_spread(entry)] * len(boards)] for entry in _reference_entries(group)
    ]
    for title in sorted(cells, key=lambda title: (average(title), title)):
        found = [cells[title].get(board.label) for board in boards]
        rows.append([title, *(_spread(one) + marks(one) if one else "" for one in found)])
    yield f"### {quantity(HEADLINE).axis} at all budgets"
    yield ""
    yield tabulate(
        rows,
        headers=["Method", *(board.label for board in boards)],
        tablefmt="pipe",
        colalign=["left"] + ["right"] * len(boards),
        disable_numparse=True,
    )
    yield ""
    yield f"Mean ± standard deviation over seeds; without the latter, one seed. {_FEWER}"
    yield ""


def _spread(entry: Entry) -> str:
    number = entry.row.numbers.get(HEADLINE)
    if number is None or number.mean is None:
        return ""
    text = quantity(HEADLINE).text(number.mean)
    few = "°" if entry.incomplete else ""
    return (text if number.sd is None else f"{text} ± {number.sd:.4f}") + few


def _leaderboard(group: Group, board: Leaderboard) -> Iterable[str]:
    yield f"### {budget_title(board)}"
    yield ""
    entries = [*_reference_entries(group), *board.entries]
    yield markdown(group, entries, leaderboard_columns(board))
    yield ""
    lines = [f"- {entry.row.label}: {entry.reason}" for entry in board.apart]
    if board.apart:
        yield "Not ranked:"
        yield ""
        yield markdown(group, board.apart, leaderboard_columns(board))
        yield ""
        yield from lines
        yield ""
    if board.gaps:
        yield "Without numbers:"
        yield ""
        yield from (f"- {gap_text(gap, board.accounting)}" for gap in board.gaps)
        yield ""


def _ranking(group: Group) -> Iterable[str]:
    ranking = group.ranking
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
    yield ranking_text(group)
    yield ""


def ranking_text(group: Group) -> str:
    """Return the sentence that says which average ranks differ by more than chance."""
    ranking = group.ranking
    if ranking is None or ranking.p is None or ranking.critical is None:
        return ""
    what = f"Methods that stand on all {ranking.boards} budgets, by NDCG@20."
    verdict = "differ" if ranking.p < 0.05 else "do not differ significantly"
    return (
        f"{what} Friedman p = {ranking.p:.3f}: the ranks {verdict}. Two methods differ (Nemenyi, "
        f"5 %) when their average ranks are {ranking.critical:.2f} or more apart. Budgets of one "
        "data set are not independent, so take this as a description rather than a proof."
    )


def _wide(group: Group) -> Iterable[str]:
    yield "### Everything else that was measured"
    yield ""
    entries = _reference_entries(group)
    if entries:
        yield markdown(group, entries, wide_columns())
        yield ""
    for board in group.boards:
        if not board.entries:
            continue
        yield f"Budget {board.label}:" if board.cap else "No budget:"
        yield ""
        yield markdown(group, board.entries, wide_columns())
        yield ""


def _passport(group: Group) -> Iterable[str]:
    yield "### Protocol passport"
    yield ""
    yield f"Passport `{group.passport_hash}`. Rows with another passport are shown apart."
    yield ""
    yield tabulate(
        [[key, f"`{passport_value(value)}`"] for key, value in group.passport.items()],
        headers=["Field", "Value"],
        tablefmt="pipe",
        disable_numparse=True,
    )
    yield ""


def passport_value(value: object) -> str:
    """Return a field of a passport as text."""
    return value if isinstance(value, str) else canonical_json(value)


def _rejected(board: Board) -> Iterable[str]:
    if not board.rejected:
        return
    yield "## Files left out"
    yield ""
    yield "These files are not good records. Nothing of them is in any table or figure."
    yield ""
    for file in board.rejected:
        yield f"- `{file.path}`: {file.reason}"
    yield ""


def glossary() -> str:
    """Return what every quantity means, as a markdown table."""
    return tabulate(
        [[q.heading, q.about] for q in QUANTITIES],
        headers=["Quantity", "Meaning"],
        tablefmt="pipe",
        disable_numparse=True,
    )
