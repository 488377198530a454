"""What the documentation shows of records is what the records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records.scan import scan
from bench.studies.tried import render_studies

ROOT = Path(__file__).parent.parent


def test_studies_are_those_of_the_records():
    folder, page = ROOT / "results" / "studies", ROOT / "docs" / "studies.md"
    if not folder.is_dir():
        pytest.skip("the studies' records come with the repository, not with the package")
    found = scan(folder)
    assert not found.rejected
    shown = page.read_text(encoding="utf-8").partition("<!-- bench studies -->\n")[2]
    assert shown.strip() == render_studies(found.records).strip(), (
        "docs/studies.md is old: put the output of `bench studies results/studies` below its mark"
    )


@pytest.mark.parametrize(
    ("page", "report"),
    [
        ("README.md", "reports/index.md"),
        ("docs/pruning.md", "reports/index.md"),
        ("docs/backbones.md", "reports/backbones/index.md"),
        ("docs/lengths.md", "reports/cosine/index.md"),
    ],
)
def test_boards_in_the_text_are_those_of_the_reports(page: str, report: str) -> None:
    if not (ROOT / report).is_file():
        pytest.skip("the report comes with the repository, not with the package")
    text = (ROOT / report).read_text(encoding="utf-8")
    shown = (ROOT / page).read_text(encoding="utf-8").split("<!-- board")[1:]
    assert shown, f"{page} has no board"
    for block in shown:
        name, _, rest = block.partition("-->\n")
        part = text.partition(f"\n## {name.strip()}\n")[2].partition("\n## ")[0]
        assert part and "|" in rest, f"no board {name.strip()!r}, or not shown"
        for line in rest.partition("<!-- /board")[0].splitlines():
            assert line in part, f"{page}: board {name.strip()!r} is old: {line}"
