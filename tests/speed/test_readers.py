"""The benchmark of look-ups times a table beside an array."""

from __future__ import annotations

from bench.speed.readers import readings


def test_the_first_table_is_timed() -> None:
    one = next(readings(["dims"], calls=3))
    assert one.label == "`dims`, 32 bits" and one.share == 0.02
    assert one.micros > 0 and one.ratio > 0
