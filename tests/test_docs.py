"""What the documentation shows of records is what the records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records import scan
from bench.studies import render_studies

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
