"""The table of all methods: newest revisions, one seed, precisions that validation prefers."""

from __future__ import annotations

from pathlib import Path

from support.make_records import TOYS, exact, make, write

from bench.records.scan import scan
from bench.studies.field import compared, newest, table

SPLIT = f"{TOYS[0].name}-v10-s0"


def add(
    folder: Path, method: str, seed: int = 0, *, valid: float, bits: int | None = None, revision=1
) -> None:
    config = {"bits": bits} if bits else {"width": 3}
    record, users = make(TOYS[0], "mf", method, 0.1, seed, config=config, revision=revision)
    record["metrics"]["valid"]["ndcg@20"] = valid
    write(folder, record, users)


def test_a_row_has_float32_and_what_validation_prefers(tmp_path: Path) -> None:
    add(tmp_path, "hashing", valid=0.1)
    add(tmp_path, "hashing", valid=0.3, bits=8)
    add(tmp_path, "hashing", valid=0.2, bits=4)
    add(tmp_path, "hashing", 1, valid=0.9, bits=2)  # of another seed
    records = scan(tmp_path).records
    runs = newest(compared(records, SPLIT))["hashing", "10%"]
    assert sorted(runs) == [4, 8, 32]
    head, _, row = table(records, SPLIT, ("5%", "10%")).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [cell.strip() for cell in head.strip("|").split("|")][-4:] == [
        "10%: float32", "10%: best", "10%: bits", "10%: time",
    ]  # fmt: skip
    shown = [f"{runs[bits].metrics.test['ndcg@20']:.4f}".lstrip("0") for bits in (32, 8)]
    assert cells[:-1] == ["`hashing`", "", "", "", "", *shown, "8"]


def test_a_newer_revision_replaces_the_same_precision_only(tmp_path: Path) -> None:
    add(tmp_path, "pep", valid=0.1)
    add(tmp_path, "pep", valid=0.2, bits=4)
    add(tmp_path, "pep", valid=0.1, bits=4, revision=2)
    runs = newest(compared(scan(tmp_path).records, SPLIT))["pep", "10%"]
    revisions = {bits: record.spec.method.revision for bits, record in runs.items()}
    assert revisions == {32: 1, 4: 2}


def test_test_scores_do_not_choose_the_precision(tmp_path: Path) -> None:
    for bits, test, valid in ((8, 0.5, 0.1), (4, 0.4, 0.2)):
        record = exact(TOYS[0], "hashing", 0.1, test, valid=valid)
        record["spec"]["method"]["config"] = {"bits": bits}
        write(tmp_path, record)
    _, _, row = table(scan(tmp_path).records, SPLIT, ("10%",)).splitlines()
    assert [cell.strip() for cell in row.split("|")][2:5] == ["", ".4000", "4"]


def test_methods_stand_by_their_best_row_at_the_middle_budget(tmp_path: Path) -> None:
    for method, small, middle in (("cerp", 0.5, 0.2), ("pep", 0.3, 0.4), ("qr", 0.4, 0.3)):
        write(tmp_path, exact(TOYS[0], method, 0.05, small))
        write(tmp_path, exact(TOYS[0], method, 0.1, middle))
    _, _, *rows = table(scan(tmp_path).records, SPLIT, ("5%", "10%", "25%")).splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["`pep`", "`qr`", "`cerp`"]
