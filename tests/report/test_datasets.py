"""The section of data sets side by side: tables, figures, page."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.markers import MarkerStyle
from support.latex import no_latex
from support.make_records import SIX, exact, make, write

from bench.board import AcrossDatasets, load
from bench.board.shares import Sides
from bench.report import build, datasets
from bench.report.figures import draw
from bench.report.figures.kept import kept_of_datasets
from bench.report.figures.layout import settings
from bench.report.figures.ranks import ranks
from bench.report.figures.style import styles

METHODS = ("dims", "cerp", "hashing", "qr", "pep")


def only(folder: Path) -> AcrossDatasets:
    (one,) = load(folder).datasets
    return one


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six data sets with three seeds; QR lacks one on the last, and one has a budget more."""
    folder = tmp_path_factory.mktemp("six")
    for toy in SIX:
        write(folder, *make(toy, "none", "popularity", None, 0))
        for seed in range(3):
            write(folder, *make(toy, "mf", "full", None, seed))
            for method in METHODS:
                for fraction in (0.05, 0.1, 0.25) if toy.name == "gowalla" else (0.05, 0.1):
                    if (toy, method, seed) != (SIX[-1], "qr", 2):
                        write(folder, *make(toy, "mf", method, fraction, seed))
    return folder


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    build(results, out, formats=("md", "csv", "tex", "json", "html"))
    return out


def lines_of(text: str, heading: str) -> list[str]:
    return text.partition(f"\n{heading}\n")[2].partition("\n# ")[0].splitlines()


def test_the_section_stands_after_the_boards(report: Path) -> None:
    text = (report / "index.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads == [*(f"{toy.name} · mf" for toy in SIX), "Data sets side by side · mf"]
    section = lines_of(text, "## Data sets side by side · mf")
    assert f"**Note on amazon-cds:** {SIX[1].note}" in section
    assert "Budget 5% of the bytes:" in section
    # What one data set has alone is on its board.
    assert "Budget 25% of the bytes:" not in section


def test_cells_have_share_signs_and_interval(report: Path, results: Path) -> None:
    one = only(results)
    section = lines_of((report / "index.md").read_text(), "## Data sets side by side · mf")
    start = section.index("Budget 10% of the bytes:") + 2
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section[start:]]
    assert rows[0] == ["Kept (%)", *(toy.name for toy in SIX)]
    (qr,) = (row for row in rows[: len(METHODS) + 3] if row[0] == "QR")
    place = one.shared[1][0]
    for side, cell in zip(one.sides, qr[1:], strict=True):
        kept = side.find(place, "qr")
        assert kept is not None
        signs = ("‡" if kept.below_reference else "") + ("" if kept.complete else "*")
        assert cell == f"{kept.ndcg:.1f}{signs} ({kept.low:.1f}–{kept.high:.1f})"
    assert qr[-1].count("*") == 1 and "*" not in "".join(qr[:-1])


def test_ranks_and_test_are_said(report: Path, results: Path) -> None:
    one = only(results)
    assert one.ranking is not None and one.ranking.p is not None
    text = (report / "index.md").read_text()
    assert "all 6 data sets at 5%, 10%" in text
    assert "Without a rank: QR." in text
    assert "Friedman's test over 6 data sets gives p" in text
    assert f"{one.ranking.critical:.2f} or more apart" in text
    table = lines_of(text, "### Average rank over data sets")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if "|" in line]
    name = one.ranking.names[0]
    shown = [*one.ranks[name], one.ranking.ranks[0]]
    assert rows[2] == [one.titles[name], *(f"{rank:.2f}" for rank in shown)]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (2, "There is no test with fewer than 3 data sets."),
        (3, "do not differ by more than chance"),
    ],
)
def test_without_a_difference_none_is_claimed(tmp_path: Path, count: int, said: str) -> None:
    for place, toy in enumerate(SIX[:count]):
        write(tmp_path / "results", exact(toy, "full", None, 0.8))
        for method, ndcg in (("cerp", 0.4), ("qr", 0.3 + 0.2 * (place % 2))):
            write(tmp_path / "results", exact(toy, method, 0.05, ndcg))
    build(tmp_path / "results", tmp_path / "out", formats=("md",))
    text = (tmp_path / "out" / "index.md").read_text()
    assert said in text
    assert "or more apart" not in text


def test_csv_of_ranks_is_known(tmp_path: Path) -> None:
    for toy, cerp in ((SIX[0], 0.4), (SIX[1], 0.2)):
        write(tmp_path, exact(toy, "full", None, 0.8))
        write(tmp_path, exact(toy, "cerp", 0.05, cerp))
        write(tmp_path, exact(toy, "qr", 0.05, 0.3))
        write(tmp_path, exact(toy, "pep", 0.05, 0.1))
    assert datasets.rank_csv(only(tmp_path)).splitlines() == [
        "method,title,dataset,split,rank,average_rank,data_sets,friedman_p,critical_difference",
        "cerp,CERP,amazon-book-kgat,amazon-book-kgat-v10-s0,1,1.5,2,,",
        "cerp,CERP,amazon-cds,amazon-cds-v10-s0,2,1.5,2,,",
        "qr,QR,amazon-book-kgat,amazon-book-kgat-v10-s0,2,1.5,2,,",
        "qr,QR,amazon-cds,amazon-cds-v10-s0,1,1.5,2,,",
        "pep,PEP,amazon-book-kgat,amazon-book-kgat-v10-s0,3,3,2,,",
        "pep,PEP,amazon-cds,amazon-cds-v10-s0,3,3,2,,",
    ]


def test_tables_and_json_hold_what_the_boards_say(report: Path, results: Path) -> None:
    one = only(results)
    text = (report / "tables" / "datasets-mf.csv").read_text()
    rows = {(r["dataset"], r["method"], r["budget"]): r for r in csv.DictReader(io.StringIO(text))}
    assert len(rows) == 6 * (1 + 1 + 2 * 5) + 5
    for side in one.sides:
        assert rows[side.name, "full", ""]["ndcg_kept"] == "100"
        for kept in side.kept:
            row = rows[side.name, kept.row.method, kept.budget]
            assert float(row["ndcg_kept"]) == pytest.approx(kept.ndcg)
            assert float(row["ndcg_kept_low"]) < kept.ndcg < float(row["ndcg_kept_high"])
            assert row["complete"] == str(kept.complete)
    (content,) = json.loads((report / "datasets.json").read_text())["backbones"]
    assert len(content["rows"]) == len(rows)
    assert content["ranking"]["budgets"] == ["5%", "10%"]
    assert {m["method"]: tuple(m["ranks"].values()) for m in content["ranking"]["methods"]} == dict(
        one.ranks
    )


def test_latex_has_a_table_for_each_budget(report: Path) -> None:
    text = (report / "tables" / "datasets-mf.tex").read_text()
    tables = text.split(r"\begin{tabular}")[1:]
    assert len(tables) == text.count(r"\end{tabular}") == 2
    for table, label in zip(tables, ("5", "10"), strict=True):
        head, body = table.split(r"\bottomrule")[0].split(r"\midrule")
        assert rf"Kept (\%) at {label}\%" in head
        rows = [line for line in body.splitlines() if line]
        assert len(rows) == len(METHODS) + 1  # and popularity
        assert {line.count("&") for line in rows} == {len(SIX)}
        assert not re.search(r"(?<!\\)[%#_‡]", body)


def test_latex_fits_the_text_of_an_article(report: Path, tmp_path: Path) -> None:
    if reason := no_latex():
        pytest.skip(reason)
    table = report / "tables" / "datasets-mf.tex"
    document = (
        r"\documentclass{article}\usepackage{booktabs,amssymb,array,adjustbox}"
        rf"\begin{{document}}\noindent\input{{{table}}}\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said


def test_the_page_has_the_same_tables(report: Path, results: Path) -> None:
    one = only(results)
    text = (report / "index.html").read_text()
    section = text.partition('<section class="datasets">')[2].partition("</section>")[0]
    assert "<h2>Data sets side by side · mf</h2>" in section
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", section)
    ranked = datasets.rank_table(one)
    assert ranked is not None
    for table in (*datasets.tables(one), ranked):
        for row in (table.head, *table.rows):
            assert set(row) <= set(cells)


def drawn(one: AcrossDatasets, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    methods = {kept.row.method: kept.row.role for side in one.sides for kept in side.kept}
    looks = styles(methods.items())
    with settings():
        draw._write(kept_of_datasets(one, looks), folder / one.slug)
        draw._write(ranks(one), folder / f"{one.slug}-ranks")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_figures_are_the_same_each_time(results: Path, report: Path, tmp_path: Path) -> None:
    first, second = (drawn(only(results), tmp_path / name) for name in ("a", "b"))
    assert first == second
    names = ("datasets-mf", "datasets-mf-ranks")
    assert set(first) == {f"{name}.{end}" for name in names for end in ("png", "svg", "csv")}
    for name in names:
        assert first[f"{name}.csv"] == (report / "tables" / f"{name}.csv").read_bytes()


def hollow(one: Sides, folder: Path) -> list[str]:
    """Return the panels that have a hollow mark."""
    looks = styles((kept.row.method, kept.row.role) for side in one.sides for kept in side.kept)
    with settings():
        chart = kept_of_datasets(one, looks)  # type: ignore[arg-type]
    found = []
    for axis in chart.figure.axes:
        marks = [
            line for line in axis.lines
            if line.get_marker() in MarkerStyle.markers and line.get_linestyle() == "None"
        ]  # fmt: skip
        if any(line.get_markerfacecolor() == "white" and len(line.get_xdata()) for line in marks):
            found.append(axis.get_title(loc="left"))
    return found


def test_rows_that_lack_seeds_are_hollow(results: Path, tmp_path: Path) -> None:
    (panel,) = hollow(only(results), tmp_path)
    assert panel.startswith("yelp2020-sample (0.")


def test_bars_of_the_figure_end_where_the_intervals_do(tmp_path: Path) -> None:
    for toy in SIX[:2]:
        write(tmp_path, exact(toy, "full", None, 0.8))
        write(tmp_path, exact(toy, "cerp", 0.05, 0.4))
    one = only(tmp_path)
    # Real ends are equally far from the mean, which would hide a swap.
    sides = tuple(
        replace(side, kept=tuple(replace(x, low=45.0, high=51.0) for x in side.kept))
        for side in one.sides
    )
    with settings():
        chart = kept_of_datasets(replace(one, sides=sides), styles([("cerp", "method")]))
    for axis in chart.figure.axes[:2]:
        (bars,) = (x for x in axis.collections if isinstance(x, LineCollection))
        ((_, low), (_, high)) = bars.get_segments()[0]
        assert (low, high) == pytest.approx((45.0, 51.0))


def test_nothing_of_the_diagram_is_cut_off(tmp_path: Path) -> None:
    long = "Residual quantisation, books trained, on graded codes"
    for toy in SIX[:3]:
        write(tmp_path, exact(toy, "full", None, 0.8))
        for place, method in enumerate(("cerp", "qr", "pep", "hashing", "ttrec", "dims", "dhe")):
            record = exact(toy, method, 0.05, 0.5 - place / 20)
            if method in ("cerp", "dhe"):
                record["method"]["title"] = long
            write(tmp_path, record)
    with settings():
        figure = ranks(only(tmp_path)).figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.axes[0].texts]
    width, height = canvas.get_width_height()
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]
    assert overlaps == []
