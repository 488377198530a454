"""What `bench speed` prints."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

CLOCKS = {
    "processor": "of processor time, which leaves out what other programs take",
    "wall": "by the clock: an idle machine is needed",
}


def training_table(result: dict[str, Any]) -> Table:
    """One line for each phase of each method: epochs and steps."""
    objective, batch = result["training"]["objective"]["name"], result["training"]["batch"]
    table = _table(f"Training, {objective}, batch {batch:,}; {_setting(result)}")
    for name in ("s/epoch", "x full", "positives/s", "ms/step", "floor", "ratio", "peak MB"):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        share = row["epoch_ratio_to_full"]
        table.add_row(
            _name(row),
            f"{row['epoch_s']:.2f}",
            f"{share:.2f}" if share else "",
            f"{row['positives_per_s']:,.0f}",
            f"{1e3 * row['step_s']:.1f}",
            f"{1e3 * row['floor_s']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['peak_memory_bytes'] / 1e6:,.0f}",
        )
    return table


def ranking_table(result: dict[str, Any]) -> Table:
    """One line for each method: a full ranking with all metrics."""
    table = _table(f"Full ranking of {result['items']:,} items; {_setting(result)}")
    for name in ("s/evaluation", "floor", "ratio"):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        if ranked := row["evaluation"]:
            table.add_row(
                _name(row),
                f"{ranked['seconds']:.3f}",
                f"{ranked['floor_s']:.3f}",
                f"{ranked['ratio']:.2f}",
            )
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    return table


def _setting(result: dict[str, Any]) -> str:
    return f"d = {result['dim']}, {result['env']['threads']} thread(s)"


def _name(row: dict[str, Any]) -> str:
    phase = "" if row["phase"] == "train" else row["phase"]
    return " ".join(part for part in (row["backbone"], row["method"], phase) if part)


def explain(result: dict[str, Any]) -> str:
    """How the numbers were come by, and what the floors are made of (a part is named once)."""
    effort = result["effort"]
    lines = [
        f"Medians of {effort['steps']} steps in {effort['rounds']} rounds, the methods in turns."
        " An epoch is its number of steps times the median, and drawing its batches and, in a"
        " search, the checks of what is kept. Ratios compare what was timed in the same round."
        f" Seconds are {CLOCKS[result['clock']]}.",
    ]
    seen: set[str] = set()

    def fresh(parts: dict[str, float], unit: str, scale: float) -> str:
        """Parts that were not named yet."""
        new = [name for name in parts if name not in seen]
        seen.update(new)
        return "; ".join(f"{name} {parts[name] * scale:.2f} {unit}" for name in new)

    for row in result["rows"]:
        if text := fresh(row["floor"], "ms", 1e3):
            lines.append(f"Floor of a step, {_name(row)}: {text}")
    for row in result["rows"]:
        ranked = row["evaluation"]
        if ranked and (text := fresh(ranked["floor"], "s", 1.0)):
            lines.append(f"Floor of a ranking, {_name(row)}: {text}")
            if ranked["users_timed"] < ranked["users"]:
                lines.append(
                    f"Rankings under {row['backbone']} were timed for {ranked['users_timed']:,}"
                    f" of {ranked['users']:,} users and scaled."
                )
    return "\n".join(lines)


def against_table(against: dict[str, Any]) -> Table:
    """Ours beside another program's."""
    table = Table(
        title=f"Against {against['name']}: {against['about']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("model")
    for name in ("s/epoch", "theirs", "ratio", "s/evaluation", "theirs", "ratio"):
        table.add_column(name, justify="right")
    for row in against["rows"]:
        cells = [row["model"]]
        for part in ("epoch", "evaluation"):
            ours, theirs, ratio = (row[part][k] for k in ("ours_s", "theirs_s", "ratio"))
            cells += [f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.3f}"]
        table.add_row(*cells)
    return table
