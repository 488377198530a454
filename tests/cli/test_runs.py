"""What `bench run` says before it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.api import single
from bench.check import tiny_data
from bench.cli.runs import _without_effect
from bench.runs.request import Request, about


@pytest.fixture(name="table")
def table_fixture(tmp_path: Path) -> str:
    rows = "".join(f"{user},{item}\n" for user in range(20) for item in range(user, user + 12))
    (tmp_path / "clicks.csv").write_text("user,item\n" + rows)
    return str(tmp_path / "clicks.csv")


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("hashing", ("hashing.hashes=1", "training.lr=0.1"), []),
        (
            "hashing",
            ("cerp.gamma=0",),
            ["--set cerp.gamma=0 has no effect: the method is hashing"],
        ),
        ("ptq", ("full.training.lr=0.5",), []),
        ("full", (), ["--budget 300% has no effect: full has no budget"]),
    ],
)
def test_options_without_effect_are_named(table, method, settings, said) -> None:
    asked = Request(dataset=table, settings=settings)
    assert list(_without_effect(single(asked, method, "300%"), "300%")) == said


@pytest.mark.parametrize(
    ("method", "form", "said"),
    [
        ("graded", "tuned", ["--bits has no effect: graded chooses the precision by its own"]),
        ("ptq", "tuned", ["--bits has no effect: ptq chooses the precision by its own settings"]),
        ("qr", "published", ["--bits has no effect: the published form of qr has the paper's"]),
        ("qr", "tuned", []),
        ("popularity", "tuned", ["--bits has no effect: popularity has no values"]),
    ],
)
def test_a_precision_without_effect_is_named(table, method, form, said) -> None:
    one = single(Request(dataset=table, bits=(8,)), method, "300%", form=form)
    found = [line for line in _without_effect(one, "300%") if line.startswith("--bits")]
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_repairs_are_words_after_their_count() -> None:
    repairs = {"all: pairs dropped": 3, "train: lines skipped": 2, "ids that differ: in case": 1}
    text = about(replace(tiny_data(), repairs=repairs))
    assert text.endswith("; 3 pairs dropped; 2 lines skipped in train; 1 ids that differ: in case")
