"""The terminal says why rows are not ranked."""

from __future__ import annotations

from support.make_records import TOYS, make, write
from typer.testing import CliRunner

from bench.cli import app


def test_runs_of_uncommitted_code_are_named_with_the_remedy(tmp_path):
    for method in ("dims", "cerp"):
        record, users = make(TOYS[0], "mf", method, 0.1, 0)
        if method == "cerp":
            record["env"]["commit"] = "0123456789ab-dirty"
        write(tmp_path / "results", record, users)
    words = ["report", "--results", tmp_path / "results", "--reports", tmp_path / "reports"]
    shown = CliRunner().invoke(app, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.stdout.split())
    assert (
        "Not ranked: CERP at 10%: code with uncommitted changes (0123456789ab-dirty); commit them"
        " and run it again." in said
    )
    assert "Fewer dimensions" in said
    assert "uncommitted changes" in (tmp_path / "reports" / "index.md").read_text()
