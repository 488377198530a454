"""What `bench speed` prints."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table


def speed_table(result: dict[str, Any]) -> Table:
    """One line for each phase of each method."""
    title = (
        f"{result['dataset']}, d = {result['dim']}, batch {result['training']['batch']:,},"
        f" {result['training']['objective']['name']}, {result['env']['threads']} thread(s)"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("backbone", "method", "phase", "budget"):
        table.add_column(name)
    for name in (
        "s/epoch",
        "x full",
        "positives/s",
        "ms/step",
        "floor",
        "ratio",
        "s/evaluation",
        "floor",
        "ratio",
        "peak MB",
    ):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        ranked, share = row["evaluation"], row["epoch_ratio_to_full"]
        table.add_row(
            row["backbone"],
            row["method"],
            row["phase"],
            row["budget"] or "",
            f"{row['epoch_s']:.2f}",
            f"{share:.2f}" if share else "",
            f"{row['positives_per_s']:,.0f}",
            f"{1e3 * row['step_s']:.1f}",
            f"{1e3 * row['floor_s']:.1f}",
            f"{row['ratio']:.2f}",
            f"{ranked['seconds']:.2f}" if ranked else "",
            f"{ranked['floor_s']:.2f}" if ranked else "",
            f"{ranked['ratio']:.2f}" if ranked else "",
            f"{row['peak_memory_bytes'] / 1e6:,.0f}",
        )
    return table


def explain(result: dict[str, Any]) -> str:
    """How the numbers were come by, and what the floors are made of."""
    effort = result["effort"]
    lines = [
        f"Medians of {effort['steps']} steps in {effort['rounds']} rounds, the methods in turns."
        " An epoch is its number of steps times the median, and drawing its batches and, in a"
        " search, the checks of what is kept. Ratios compare what was timed in the same round.",
    ]
    seen: set[str] = set()
    for row in result["rows"]:
        parts = row["floor"]
        text = "; ".join(f"{name}: {1e3 * seconds:.2f} ms" for name, seconds in parts.items())
        if text and "|".join(parts) not in seen:
            seen.add("|".join(parts))
            name = f"{row['backbone']} {row['method']} {row['phase']}"
            lines.append(f"Floor of a step ({name}): {text}")
        ranked = row["evaluation"]
        if ranked and "|".join(ranked["floor"]) not in seen:
            seen.add("|".join(ranked["floor"]))
            text = "; ".join(
                f"{name}: {seconds:.2f} s" for name, seconds in ranked["floor"].items()
            )
            lines.append(f"Floor of an evaluation ({row['backbone']}): {text}")
            if ranked["users_timed"] < ranked["users"]:
                lines.append(
                    f"Evaluations under {row['backbone']} were timed for {ranked['users_timed']:,}"
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
