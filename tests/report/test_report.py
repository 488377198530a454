"""A report is a pure function of the records, in every format."""

from __future__ import annotations

import csv
import hashlib
import html.parser
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from support.chromium import Browser, missing
from support.latex import no_latex
from support.make_records import Toy, make, make_many, write

from bench.board import load
from bench.board.quantities import QUANTITIES
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.report import build, datasets, tables
from bench.report.figures import parallel
from bench.report.figures.style import DARK, FIRST, HATCHES, KINDS, SYMBOLS, styles

HOSTILE = "</script ><img src=x onerror=alert(1)>|&_%"
TOYS = (Toy("toy", 60, 90, 0.4), Toy("noted", 60, 90, 0.3, note=f"Sampled. {HOSTILE}"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    budgets = (0.05, 0.1, 0.25)
    make_many(folder, toys=TOYS[1:], backbones=("mf",), budgets=budgets)
    few = ("full", "dims", "ttrec", "cerp", "int8")
    make_many(folder, toys=TOYS[:1], backbones=("mf",), budgets=budgets, methods=few)
    (folder / "junk.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    written = build(results, out)
    assert written == sorted(p for p in out.rglob("*") if p.is_file())
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_builds_are_byte_identical(results: Path, report: Path, tmp_path: Path) -> None:
    # From another place, at another time, written over an older report.
    copy = tmp_path / "elsewhere"
    shutil.copytree(results, copy)
    build(copy, tmp_path / "again", formats=("md", "csv", "json"))
    build(copy, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(report)


def test_drawing_on_one_core_gives_the_same(
    results: Path, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_LEAST", 10**9)
    build(results, tmp_path, formats=("figures",))
    mine = {name: h for name, h in digests(tmp_path).items() if name.startswith("figures")}
    assert mine == {name: h for name, h in digests(report).items() if name.startswith("figures")}


def test_a_child_that_dies_is_noticed(tmp_path: Path) -> None:
    def work(index: int) -> None:
        (tmp_path / str(index)).touch()
        if index == 1:
            raise SystemExit(3)

    with pytest.raises((RuntimeError, SystemExit)):
        parallel.spread(work, 8)


def test_chosen_formats_only(results: Path, tmp_path: Path) -> None:
    build(results, tmp_path, formats=("md", "json"))
    assert sorted(digests(tmp_path)) == [
        ".bench-report.json",
        "datasets.json",
        "index.md",
        "pareto.json",
    ]


def test_mistakes_are_one_line(results: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="unknown report format 'pdf'"):
        build(results, tmp_path, formats=("pdf",))
    with pytest.raises(BenchError, match="no such results folder"):
        build(tmp_path / "missing", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="is a file"):
        build(results, tmp_path / "file")


def test_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    build(tmp_path / "empty", tmp_path / "out")
    assert "no runs to show yet" in (tmp_path / "out" / "index.md").read_text()
    assert "no runs to show yet" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("case", ["reference", "failed", "no users", "one row"])
def test_poor_boards_are_drawn_too(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "results"
    if case == "reference":
        write(folder, *make(TOYS[0], "none", "popularity", None, 0))
    elif case == "failed":
        write(folder, *make(TOYS[0], "mf", "cerp", 0.1, 0, status="failed"))
    else:
        path = write(folder, *make(TOYS[0], "mf", "cerp", 0.1, 0))
        if case == "no users":
            path.with_suffix(".npz").unlink()
    written = build(folder, tmp_path / "out")
    assert {"index.md", "index.html"} <= {path.name for path in written}
    figures = [path for path in written if path.suffix == ".png"]
    assert len(figures) == {"reference": 0, "failed": 0, "no users": 4, "one row": 5}[case]


def test_markdown_says_what_a_reviewer_looks_for(report: Path) -> None:
    text = (report / "index.md").read_text()
    for said in (
        "Recall@k = hits",
        "not how well the future is predicted",
        "### Protocol",
        "Holm",
        "Popularity",
        "Full table",
        "Int8: infeasible, needs at least 9,600 bytes",
        "TT-Rec: failed (seed 2): loss is not finite",
        "2 of 3 seeds, 1 failed",
        "`junk.json`: not valid JSON",
        "Nemenyi",
    ):
        assert said in text, said
    # On its board, and beside the other data set.
    assert text.count("**Note on noted:** Sampled.") == 2
    for name in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (report / name).exists()


def test_a_catalogue_smaller_than_k_is_said(tmp_path: Path) -> None:
    write(tmp_path / "results", *make(Toy("few", 60, 30, 0.4), "mf", "cerp", 0.1, 0))
    build(tmp_path / "results", tmp_path / "out", formats=("md",))
    assert "fewer than 50 items" in (tmp_path / "out" / "index.md").read_text()


def test_every_table_row_has_as_many_cells_as_its_head(report: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", (report / "index.md").read_text(), re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1, block


def test_csv_holds_every_number_and_empty_for_missing(report: Path, results: Path) -> None:
    board = next(g for g in load(results).boards if g.dataset == "toy")
    rows = list(csv.DictReader(io.StringIO((report / f"tables/{board.slug}.csv").read_text())))
    assert len(rows) == len(list(board.rows()))
    for row, (_, entry) in zip(rows, board.rows(), strict=True):
        for q in QUANTITIES:
            number = entry.row.numbers.get(q.key)
            if number is not None:
                assert float(row[q.key]) == pytest.approx(number.mean, rel=1e-9)
                assert row[f"{q.key}_n"] == str(number.n)
            elif q.key not in ("share", "share_recall"):
                assert row[q.key] == ""
    runs = list(csv.DictReader(io.StringIO((report / "tables/runs.csv").read_text())))
    assert len(runs) == len(list(results.rglob("*.json"))) - 1
    assert {r["ndcg@20"] for r in runs if r["status"] != "ok"} == {""}


def test_latex_tables_say_what_they_need_and_shrink_to_the_text(
    report: Path, results: Path
) -> None:
    for board in load(results).boards:
        text = (report / f"tables/{board.slug}.tex").read_text()
        parts = (
            r"\usepackage{booktabs,amssymb,array,adjustbox}",
            r"\begin{adjustbox}{max width=\textwidth}",
            r"\begin{tabular}",
            r"\end{tabular}",
            r"\end{adjustbox}",
        )
        places = [text.index(part) for part in parts]
        assert places == sorted(places), board.slug


def test_latex_tables_fit_the_text_of_an_article(results: Path, tmp_path, monkeypatch) -> None:
    if reason := no_latex():
        pytest.skip(reason)
    loaded = load(results)
    boards = loaded.boards
    assert boards
    assert loaded.datasets
    short = [*map(tables.latex, boards), *map(datasets.latex, loaded.datasets)]
    floats = [f"\\begin{{table}}{text}\\end{{table}}" for text in short]
    monkeypatch.setattr(tables, "_TEX_PAGE", 1)
    long = [tables.latex(board) for board in boards]
    assert all(r"\begin{longtable}" in text for text in long)
    packages = "booktabs,amssymb,array,adjustbox,longtable"
    body = "\n\\clearpage\n".join((*floats, *long))
    document = f"\\documentclass{{article}}\\usepackage{{{packages}}}"
    document += f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "boards.tex").write_text(document, encoding="utf-8")
    command = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "boards.tex")
    for _ in range(3):  # a longtable finds its widths in three passes
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (tmp_path / "boards.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "too large" not in log


def test_latex_is_balanced_and_escaped(report: Path, results: Path) -> None:
    for board in load(results).boards:
        text = (report / f"tables/{board.slug}.tex").read_text()
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
        for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
            assert rule in text
        body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
        for line in body.splitlines():
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert line.count(" &") == 4, line
        assert not re.search(r"(?<!\\)[%#_]", body)
    assert tables.tex("50% & a_b") == r"50\% \& a\_b"


def test_pareto_json(report: Path, results: Path) -> None:
    found = json.loads((report / "pareto.json").read_text())
    assert [g["dataset"] for g in found["groups"]] == ["noted", "toy"]
    assert found["groups"][0]["note"].startswith("Sampled.")
    front = found["groups"][1]["fronts"][0]
    assert (front["size"], front["metric"]) == ("bytes", "ndcg@20")
    scores = [row["ndcg@20"] for row in front["rows"]]
    assert scores == sorted(scores) and front["rows"][-1]["method"] == "full"
    ids = {path.stem for path in results.rglob("*.json")}
    assert set(front["rows"][0]["runs"]) <= ids


def test_each_figure_has_vector_raster_and_data(report: Path) -> None:
    names = {path.stem for path in (report / "figures").iterdir()}
    assert len(names) == 11
    for name in names:
        image = Image.open(report / "figures" / f"{name}.png")
        assert image.width == 1080  # 7.2 inches at 150 dots
        assert not {"Software", "Creation Time"} & set(image.info)
        svg = (report / "figures" / f"{name}.svg").read_text()
        assert "<dc:date>" not in svg and "<image" not in svg
        rows = list(csv.reader(io.StringIO((report / "figures" / f"{name}.csv").read_text())))
        assert len(rows) > 5


def test_figure_data_are_the_means_of_the_board(report: Path, results: Path) -> None:
    board = next(g for g in load(results).boards if g.dataset == "toy")
    text = (report / f"figures/{board.slug}-bytes.csv").read_text()
    rows = [r for r in csv.DictReader(io.StringIO(text)) if r["metric"] == "ndcg@20"]
    curves = {
        (r["method"], r["budget"]): float(r["mean"]) for r in rows if r["kind"][:5] == "curve"
    }
    for curve in board.curves:
        for point in curve.points:
            assert curves[curve.method, point.budget] == pytest.approx(point.row.mean("ndcg@20"))
    assert {r["kind"] for r in rows} == {
        "ceiling", "reference", "curve", "curve, incomplete", "front",
    }  # fmt: skip


def test_looks_belong_to_a_name() -> None:
    names = [(name, "method") for name in FIRST] + [("dims", "control"), ("magnitude", "control")]
    found = styles(names)
    assert len({(s.colour, s.marker, s.dashes) for s in found.values()}) == len(names)
    assert len({found[name].colour for name in FIRST}) == 9
    # Told apart without colour: no two have both marker and line in common.
    assert len({(s.marker, s.dashes) for s in found.values()}) == len(names)
    others = styles([*names, ("a-new-one", "method"), ("another", "control")])
    assert {name: others[name] for name in found} == found
    assert {s.colour for s in others.values()} <= DARK.keys()
    assert {s.marker for s in others.values()} <= SYMBOLS.keys()
    assert len({*HATCHES.values()}) >= len(KINDS)


def test_no_two_methods_of_the_program_look_alike() -> None:
    found = styles((name, kind.role) for name, kind in find_methods().items())
    assert len(set(found.values())) == len(found)


def test_text_of_others_is_neither_formula_nor_markup(report: Path) -> None:
    text = tables.to_csv(("=head",), [("=1+1",), ("@x",), ("plain",), (-0.5,), (-3,)])
    assert text.splitlines()[1:] == ["'=1+1", "'@x", "plain", "-0.5", "-3"]
    page = (report / "index.md").read_text()
    assert "<" not in page and "&lt;img src=x" in page


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.sources += [v or "" for k, v in attrs if k in ("src", "srcset", "action")]
        self.sources += [v or "" for k, v in attrs if k == "href" and tag == "link"]


def test_the_page_needs_nothing_but_itself(report: Path) -> None:
    text = (report / "index.html").read_text()
    parsed = _Page()
    parsed.feed(text)
    assert parsed.sources == ["data:,"]
    assert parsed.images == 0  # the hostile note stayed text
    assert "default-src 'none'" in text
    assert len(text) < 3_000_000


def test_the_page_holds_every_row_and_command(report: Path, results: Path) -> None:
    text = (report / "index.html").read_text()
    (embedded,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    data = json.loads(embedded)
    boards = load(results)
    assert len(data["rows"]) == sum(len(list(g.rows())) for g in boards.boards)
    commands = {run["command"] for row in data["rows"] for run in row["runs"]}
    assert commands == {r.command for r in boards.records if r.status == "ok"}
    assert {board["protocol"]["hash"] for board in data["boards"]} == {
        board.protocol_hash for board in boards.boards
    }


def test_the_script_makes_a_set_of_500_good_records(tmp_path: Path) -> None:
    count = make_many(tmp_path, toys=TOYS, backbones=("mf", "lightgcn"))
    assert count > 480
    found = scan(tmp_path)
    assert (len(found.records), found.rejected) == (count, ())


@pytest.fixture(scope="module")
def browser() -> Browser:
    if reason := missing():
        pytest.skip(reason)
    tab = Browser()
    yield tab  # type: ignore[misc]
    tab.close()


@pytest.fixture
def opened(browser: Browser, report: Path) -> Browser:
    browser.complaints.clear()
    browser.requests.clear()
    browser.page.set_viewport_size({"width": 1280, "height": 900})
    browser.page.emulate_media(color_scheme="light")
    browser.open(report / "index.html")
    browser.until("['curves', 'spend'].every(id => document.querySelector(`#${id} .main-svg`))")
    yield browser  # type: ignore[misc]
    assert browser.complaints == []
    assert browser.requests == [(report / "index.html").resolve().as_uri()]


def test_labels_of_near_budgets_stand_below_each_other(browser: Browser, tmp_path: Path) -> None:
    near, few = (0.05, 0.06, 0.9), ("full", "dims")
    records = tmp_path / "results"
    make_many(records, toys=TOYS[:1], backbones=("mf",), budgets=near, methods=few)
    build(records, tmp_path / "page", formats=("html",))
    browser.open(tmp_path / "page" / "index.html")
    texts = "document.getElementById('curves')?.layout?.xaxis.ticktext"
    labels = browser.until(texts)
    assert [label.startswith("<br><br>") for label in labels] == [False, True, False]


LABELS = """
  [...document.querySelectorAll('#board tbody tr')].map(r => r.cells[1].firstChild.textContent)"""
HEADS = "[...document.querySelectorAll('#board th')].map(h => h.dataset.key)"
COLUMN = """(key => {
  const at = [...document.querySelectorAll('#board th')].findIndex(h => h.dataset.key === key);
  return [...document.querySelectorAll('#board tbody tr')]
    .map(r => r.cells[at].firstChild.textContent); })"""


def head(key: str) -> str:
    return f"document.querySelector('#board th[data-key=\"{key}\"]')"


def pick(tab: Browser, element: str, value: str, event: str = "change") -> None:
    tab.run(
        f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('{event}')); }})"
        f"(document.getElementById('{element}'))"
    )


def test_page_loads_without_complaint_or_request(opened: Browser) -> None:
    assert opened.run("document.querySelectorAll('#curves .scatterlayer .trace').length") > 8
    note = opened.run("document.querySelector('.about:not([hidden]) .note').textContent")
    assert note.endswith(HOSTILE)
    assert opened.run("document.images.length") == 0


def test_sorting(opened: Browser) -> None:
    for key, better in (("ndcg@20", "descending"), ("bytes", "ascending")):
        opened.page.mouse.click(*opened.middle(f"{head(key)}.querySelector('button')"))
        assert opened.run(f"{head(key)}.getAttribute('aria-sort')") == better
        values = [float(v.replace(",", "")) for v in opened.run(f"{COLUMN}('{key}')")]
        assert values == sorted(values, reverse=better == "descending")
        assert len(set(values)) > 3
        opened.run(f"{head(key)}.querySelector('button').click()")
        turned = [float(v.replace(",", "")) for v in opened.run(f"{COLUMN}('{key}')")]
        assert turned == sorted(values, reverse=better != "descending")
    # Rows without a rank stand last both ways.
    for _ in range(2):
        opened.run(f"{head('rank')}.querySelector('button').click()")
        ranks = opened.run(f"{COLUMN}('rank')")
        assert "" in ranks
        assert all(r == "" for r in ranks[ranks.index("") :])


def test_filtering(opened: Browser) -> None:
    every = opened.run(LABELS)
    opened.page.mouse.click(*opened.middle("document.getElementById('search')"))
    opened.page.keyboard.insert_text("cerp one")
    assert set(opened.run(LABELS)) == {"CERP, one table"}
    pick(opened, "search", "", "input")
    assert opened.run(LABELS) == every
    pick(opened, "budget", "10%")
    assert set(opened.run(f"{COLUMN}('budget')")) == {"10%", ""}
    opened.page.mouse.click(*opened.middle("document.getElementById('ranked')"))
    assert set(opened.run(f"{COLUMN}('budget')")) == {"10%"}
    assert "" not in opened.run(f"{COLUMN}('rank')")
    assert opened.run("document.getElementById('spent').textContent").startswith("Budget 10%")


def test_columns_and_boards_can_be_chosen(opened: Browser) -> None:
    assert "coverage@20" not in opened.run(HEADS)
    opened.run(
        "[...document.querySelectorAll('#columns label')]"
        ".find(l => l.textContent.startsWith('Coverage')).click()"
    )
    assert len(opened.run(f"{COLUMN}('coverage@20')")) > 10
    before = opened.run(f"{COLUMN}('ndcg@20')")
    pick(opened, "which", "1")
    assert opened.run(f"{COLUMN}('ndcg@20')") != before
    assert opened.run("document.querySelector('.about:not([hidden]) .note')") is None


def test_the_chart_follows_metric_and_size(opened: Browser) -> None:
    titles = (
        "[...document.querySelectorAll('#curves .xtitle, #curves .ytitle')].map(t => t.textContent)"
    )
    assert opened.run(titles) == ["Stored size (bytes), log scale", "NDCG@20 (test)"]
    pick(opened, "metric", "recall@50")
    pick(opened, "size", "values")
    opened.until(f"{titles}.join() === 'Stored values, log scale,Recall@50 (test)'")


def test_hover_and_click_show_the_record(opened: Browser, results: Path) -> None:
    mark = "document.querySelector('#curves .scatterlayer .trace .points path')"
    x, y = opened.middle(mark)
    opened.page.mouse.move(x - 4, y)
    opened.page.mouse.move(x, y)
    text = opened.until("document.querySelector('.hoverlayer .hovertext')?.textContent")
    ids = re.findall(r"[0-9a-f]{12}", text)
    assert len(ids) == 3
    assert "bytes" in text
    assert "3 seeds" in text
    (path,) = results.rglob(f"{ids[0]}.json")
    record = json.loads(path.read_text())
    opened.page.mouse.click(x, y)
    details = opened.until(
        "document.getElementById('record').open && document.getElementById('details').textContent"
    )
    assert record["command"] in details
    assert path.relative_to(results).as_posix() in details
    assert record["spec"]["dataset"]["fingerprint"] in details
    opened.run("document.querySelector('#record form button').click()")
    assert not opened.run("document.getElementById('record').open")


def test_rows_open_by_keyboard(opened: Browser) -> None:
    opened.run("document.querySelector('#board tbody tr').focus()")
    opened.page.keyboard.press("Enter")
    assert opened.until("document.getElementById('record').open")


def test_dark_and_light(opened: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    line = "document.querySelector('#curves .scatterlayer .trace path.js-line')"
    stroke = f"getComputedStyle({line}).stroke"
    light, before = opened.run(colour), opened.run(stroke)
    opened.page.emulate_media(color_scheme="dark")
    assert opened.until(f"{colour} !== '{light}' && {colour}") != light
    assert opened.until(f"{stroke} !== '{before}' && {stroke}")
    opened.page.mouse.click(*opened.middle("document.getElementById('theme')"))
    assert opened.run(colour) == light


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_itself_never_scrolls_sideways(opened: Browser, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 800})
    opened.until(f"innerWidth === {width}")
    # The charts follow the width a moment later.
    opened.until(f"document.documentElement.scrollWidth <= {width}", seconds=5)


def test_all_budgets_at_a_glance(report: Path, results: Path) -> None:
    text = (report / "index.md").read_text()
    board = next(g for g in load(results).boards if g.dataset == "toy")
    section = text.partition("## toy · mf\n")[2].partition("### NDCG@20 at all budgets\n")[2]
    lines = section.strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:12]]
    assert cells[0] == ["Method", *(leaderboard.label for leaderboard in board.leaderboards)]
    rows = {row[0]: row[1:] for row in cells[2:]}
    for at, leaderboard in enumerate(board.leaderboards):
        for entry in leaderboard.entries:
            number = entry.row.numbers["ndcg@20"]
            expected = f"{number.mean:.4f} ± {number.sd:.4f}"
            assert rows[entry.row.first.method.title][at].rstrip("★†‡") == expected
        for entry in leaderboard.apart:
            cell = rows.get(entry.row.first.method.title, [""] * 9)[at]
            assert cell.endswith("°") == entry.incomplete
