"""What `bench speed` prints."""

from __future__ import annotations

from typing import Any

from bench.cli.grid import Column, Grid, number

CLOCKS = {
    "processor": "of processor time, which leaves out what other programs take",
    "wall": "by the clock: an idle machine is needed",
}


def training_table(result: dict[str, Any]) -> Grid:
    """One line for each phase of each method: epochs and steps."""
    objective, batch = result["training"]["objective"]["name"], result["training"]["batch"]
    grid = _grid(
        f"Training, {objective}, batch {batch:,}; {_setting(result)}",
        number("s/epoch"),
        number("x full", leaves=1),
        number("positives/s", leaves=5),
        number("ms/step"),
        number("floor", leaves=3),
        number("ratio", leaves=2),
        number("peak MB", leaves=4),
    )
    for row in result["rows"]:
        share = row["epoch_ratio_to_full"]
        grid.add(
            _name(row),
            f"{row['epoch_s']:.2f}",
            f"{share:.2f}" if share else "",
            f"{row['positives_per_s']:,.0f}",
            f"{1e3 * row['step_s']:.1f}",
            f"{1e3 * row['floor_s']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['peak_memory_bytes'] / 1e6:,.0f}",
        )
    return grid


def ranking_table(result: dict[str, Any]) -> Grid:
    """One line for each method: a full ranking with all metrics."""
    grid = _grid(
        f"Full ranking of {result['items']:,} items; {_setting(result)}",
        number("s/evaluation"),
        number("floor", leaves=2),
        number("ratio", leaves=1),
    )
    for row in result["rows"]:
        if ranked := row["evaluation"]:
            grid.add(
                _name(row),
                f"{ranked['seconds']:.3f}",
                f"{ranked['floor_s']:.3f}",
                f"{ranked['ratio']:.2f}",
            )
    return grid


def _grid(title: str, *columns: Column) -> Grid:
    return Grid(title, (Column("method"), *columns))


def _setting(result: dict[str, Any]) -> str:
    return f"d = {result['dim']}, {result['env']['threads']} thread(s)"


def _name(row: dict[str, Any]) -> str:
    phase = "" if row["phase"] == "train" else row["phase"]
    return " ".join(part for part in (row["backbone"], row["method"], phase) if part)


def explain(result: dict[str, Any]) -> str:
    """How the numbers were measured, and what the floors are made of (a part is named once)."""
    effort = result["effort"]
    lines = [
        f"Medians of {effort['steps']} steps in {effort['rounds']} rounds, the methods in turns."
        " The time of an epoch is the number of steps times the median step, plus drawing the"
        " batches and, in a search, checking what is kept. Ratios compare what was timed in"
        " the same round."
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


def against_table(against: dict[str, Any]) -> Grid:
    """Ours beside another program's."""
    grid = Grid(
        f"Against {against['name']}: {against['about']}",
        (
            Column("model"),
            number("s/epoch"),
            number("theirs"),
            number("ratio"),
            number("s/evaluation"),
            number("theirs"),
            number("ratio"),
        ),
    )
    for row in against["rows"]:
        cells = [row["model"]]
        for part in ("epoch", "evaluation"):
            ours, theirs, ratio = (row[part][k] for k in ("ours_s", "theirs_s", "ratio"))
            cells += [f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.3f}"]
        grid.add(*cells)
    return grid


def against_left_out(against: dict[str, Any]) -> str:
    """What was not timed, for a comparison that ends soon."""
    return (
        f"Left out: {'; '.join(against['left_out'])}. --minutes, --rounds and --steps set how much"
        " is timed."
    )
