"""What `bench choose` says of the rows that fit."""

from __future__ import annotations

from collections.abc import Sequence

from bench.board.choose import Advice, Choice, reference, score, size, some
from bench.board.quantities import HEADLINE, quantity
from bench.board.stats import MARGIN


def verdict(advice: Advice) -> str:
    """Return the sentences that say how sure the first choice is, and what is as good."""
    first, *others = advice.choices
    floor = reference(advice.choices)
    # Popularity has one seed and is never tested, so the sentences are about tables alone.
    tables = [c for c in others if c.embedded]
    close = [c for c in tables if c.close and score(c) > floor]
    unsure = [c for c in tables if c.unsure and not c.close and score(c) > floor]
    level = [c for c in tables if c.close or c.unsure]
    unknown = [c for c in tables if c.to_best is None or not c.to_best.tested]
    parts = []
    if close:
        parts.append(f"{_names(close)} at most {100 * MARGIN:.0f} % behind, within noise")
    if unsure:
        parts.append(f"{_names(unsure)} further behind, but not significantly")
    if first.embedded and tables and not (level or unknown):
        parts.append("better than every other table by more than noise")
    if first.embedded and unknown:
        parts.append("some differences could not be tested for want of seeds or per-user metrics")
    if first.embedded and first.row.numbers[HEADLINE].n == 1:
        parts.append("one seed, so noise between seeds is unknown")
    text = f"Take {first.name}{': ' if parts else ''}{'; '.join(parts)}."
    return text + (_alternatives([first, *close]) if close else "")


def _names(choices: Sequence[Choice]) -> str:
    return some([one.name for one in choices]) + (" is" if len(choices) == 1 else " are")


def _alternatives(level: Sequence[Choice]) -> str:
    """Return which of the choices that are as good is the smallest, and the fastest."""
    smallest = min(level, key=size)
    text = f" Of these {smallest.name} is the smallest ({size(smallest):,.0f} bytes)"
    timed = [(one.row.mean("latency") or 0.0, one) for one in level if one.row.mean("latency")]
    if len(timed) == len(level):
        latency, fastest = min(timed, key=lambda pair: pair[0])
        text += f", {fastest.name} the fastest ({quantity('latency').text(latency)} µs a row)"
    return text + "."


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
    """Return the sentence that says what a larger table would bring."""
    larger = advice.larger
    if larger is None:
        if advice.has_larger and advice.choices:
            return f"No larger table gains {100 * MARGIN:.0f} % or more."
        return "No larger table that meets the limits was measured."
    what = f"{larger.name}, {size(larger):,.0f} bytes"
    if not advice.choices:
        return f"The smallest larger table: {what}."
    before, after = score(advice.choices[0]), score(larger)
    change = f"{after - before:+.4f} {quantity(HEADLINE).label}"
    if before:
        change += f" ({100 * (after / before - 1):+.1f} %)"
    sure = ", not tested"
    if advice.gain is not None and advice.gain.tested:
        sure = "" if advice.gain.significant else ", within noise"
        change += f", 95 % interval {advice.gain.low:+.4f} to {advice.gain.high:+.4f}"
    return f"The smallest table that gains {100 * MARGIN:.0f} % or more is {what}: {change}{sure}."
