"""What the documentation shows of records is what the records say."""

from __future__ import annotations

import csv
import re
import shlex
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
import typer

from bench.board import load, longer
from bench.board.measure import row_key
from bench.check import check_method
from bench.cli import app
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.records.schema import PROTOCOL, Record
from bench.report.markdown import render
from bench.runs.settings import check_names
from bench.runs.suite import read_suite
from bench.studies.tried import render_studies

ROOT = Path(__file__).parent.parent
INDEX = ROOT / "docs" / "index.md"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def links(page: Path) -> list[tuple[Path, str]]:
    """Relative links of a page: file and, behind a #, heading; a link within it names itself."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            found.append(((page.parent / path).resolve() if path else page, heading))
    return found


def headings(page: Path) -> set[str]:
    """Anchors that GitHub makes of a page's headings."""
    lines = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_studies_are_those_of_the_records():
    folder, page = ROOT / "results" / "studies", ROOT / "docs" / "lab" / "studies.md"
    if not folder.is_dir():
        pytest.skip("the studies' records come with the repository, not with the package")
    found = scan(folder)
    assert not found.rejected
    shown = page.read_text(encoding="utf-8").partition("<!-- bench studies -->\n")[2]
    assert shown.strip() == render_studies(found.records).strip(), (
        "docs/lab/studies.md is old: put the output of `bench studies results/studies` below"
        " its mark"
    )


@pytest.mark.parametrize(
    ("page", "source"),
    [
        ("README.md", "reports/index.md"),
        ("docs/boards.md", "reports/index.md"),
        ("docs/lab/pruning.md", "reports/index.md"),
        ("docs/lab/backbones.md", "results/backbones"),
        ("docs/lab/lengths.md", "results/cosine"),
    ],
)
def test_boards_in_the_text_are_those_of_the_records(page: str, source: str) -> None:
    path = ROOT / source
    if not path.exists():
        pytest.skip("reports and records come with the repository, not with the package")
    text = path.read_text(encoding="utf-8") if path.is_file() else render(load(path), figures=False)
    shown = (ROOT / page).read_text(encoding="utf-8").split("<!-- board")[1:]
    assert shown, f"{page} has no board"
    for block in shown:
        name, _, rest = block.partition("-->\n")
        part = text.partition(f"\n## {name.strip()}\n")[2].partition("\n## ")[0]
        assert part and "|" in rest, f"no board {name.strip()!r}, or not shown"
        for line in rest.partition("<!-- /board")[0].splitlines():
            assert line in part, f"{page}: board {name.strip()!r} is old: {line}"


def lightgcn_by_values() -> dict[tuple[str, str, str], str]:
    """Shares of the full table, by method, budget and "mean ± deviation mark", of three seeds."""
    path = ROOT / "reports" / "tables" / "gowalla-v10-s0-lightgcn.csv"
    if not path.exists():
        pytest.skip("the report comes with the repository, not with the package")
    known: dict[tuple[str, str, str], str] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            ceiling = row["method"] == "full" and not row["budget"]
            if row["seeds"] == "3" and (ceiling or row["budget"].endswith(" of values")):
                budget = row["budget"].removesuffix("% of values")
                mean, sd = float(row["ndcg@20"]), float(row["ndcg@20_sd"])
                cell = f"{mean:.4f} ± {sd:.4f} {row['marks'][:1]}".replace("0.", ".").strip()
                known[row["method"], budget, cell] = f"{float(row['share']):.0f} %"
    return known


@pytest.mark.parametrize(
    ("page", "head", "columns"),
    [
        ("docs/lab/lightgcn.md", "| method | 5 % | of the full table |", slice(0, None, 2)),
        ("docs/boards.md", "| method | 5 % | 10 % | 20 % |", slice(0, None)),
    ],
)
def test_lightgcn_by_values_is_that_of_the_records(page: str, head: str, columns: slice) -> None:
    titles = {"hashing": "hashing", "QR trick": "qr", "PEP": "pep", "CERP": "cerp"}
    titles |= {"fewer dimensions": "dims", "TT-Rec": "ttrec", "magnitude pruning": "magnitude"}
    known = lightgcn_by_values()
    known |= {
        (one, size, cell.partition(" ")[0]): known[one, size, cell] for one, size, cell in known
    }
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = text.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    shown: list[tuple[str, str, str]] = []
    full = next(cell for method, _, cell in known if method == "full" and " " not in cell)
    assert f"full table: {full})" in text or f"| full table | {full} ±" in text
    for line in lines:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if title == "full table":
            continue
        method = titles[title.partition(",")[0]]
        for budget, cell in zip(("5", "10", "20"), cells[columns], strict=True):
            shown += [(method, budget, one) for one in cell.split(", ") if one]
        if columns.step == 2:
            found = [known.get(one) for one in shown[-sum(map(bool, cells[::2])) :]]
            assert found == list(filter(None, cells[1::2])), line
    assert shown
    assert set(shown) <= set(known), sorted(set(shown) - set(known))


def test_shares_under_lightgcn_in_readme_are_those_of_the_records() -> None:
    source = ROOT / "reports" / "tables" / "gowalla-v10-s0-lightgcn.csv"
    if not source.exists():
        pytest.skip("the report comes with the repository, not with the package")
    methods = {"hashing": "hashing", "CERP": "cerp", "PEP": "pep", "QR trick": "qr"}
    methods |= {"TT-Rec": "ttrec", "magnitude pruning": "magnitude", "graded codes": "graded"}
    methods |= {
        "fewer dimensions, float32": "dims",
        "fewer dimensions, quantised": "dims-quantised",
    }
    budgets = ["5% of values", "10% of values", "20% of values", "5% of bytes", "10% of bytes"]
    with source.open(encoding="utf-8", newline="") as lines:
        known = {
            (row["method"], row["budget"], f"{float(row['share']):.0f}")
            for row in csv.DictReader(lines)
            if row["budget"] and row["share"]
        }
    head = "| method | 5 % of the values | 10 % | 20 % | 5 % of the bytes | 10 % |"
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition(head)[2]
    shown = []
    for line in table.partition("\n\n")[0].splitlines()[2:]:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for budget, cell in zip(budgets, cells, strict=True):
            shown += [(methods[title], budget, one) for one in re.findall(r"\d+", cell)]
    assert shown
    assert set(shown) <= known, sorted(set(shown) - known)


def test_shares_of_rare_items_in_readme_are_those_of_the_figure() -> None:
    source = ROOT / "reports" / "figures" / "gowalla-v10-s0-mf-popularity.csv"
    if not source.exists():
        pytest.skip("the report comes with the repository, not with the package")
    with source.open(encoding="utf-8", newline="") as lines:
        known = {
            (row["method"], row["budget"]): f"{float(row['kept']):.0f} %"
            for row in csv.DictReader(lines)
            if row["items"] == "least"
        }
    names = ("dims-quantised", "graded", "distilled")
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("**Rare items.**")[2]
    rows = text.partition("| --- |")[2].split("\n\n")[0].splitlines()[1:]
    shown = [[cell.strip() for cell in row.strip("|").split("|")[1:]] for row in rows]
    assert shown == [[known[name, budget] for budget in ("2%", "5%", "10%")] for name in names]


def test_what_longer_runs_gain_is_that_of_the_records() -> None:
    results = ROOT / "results"
    if not (results / longer.FOLDER).is_dir():
        pytest.skip("records come with the repository, not with the package")
    data = {"Gowalla": "gowalla", "Amazon CDs": "amazon-cds", "MovieLens 1M": "ml-1m"}
    data |= {"Amazon-book (KGAT)": "amazon-book-kgat", "MovieLens 100k": "ml-100k"}
    data |= {"Yelp (NFA)": "yelp-nfa", "Yelp2020, sample": "yelp2020-sample"}
    methods = {"graded codes": "graded", "QR trick": "qr", "quantised columns": "dims-quantised"}
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in scan(results).records:
        if record.status == "ok" and record.spec.protocol == PROTOCOL:
            rows[row_key(record)].append(record)
    more = longer.by_row(longer.read(results).records)
    known = set()
    for records in rows.values():
        first, found = records[0].spec, longer.measured(records, more)
        if found and records[0].budget and first.training:
            runs = [r for r in records if r.spec.seed in found.seeds]
            after = [
                r
                for r in more[longer.shared(records[0])]
                if r.spec.seed in found.seeds and longer.epochs(r) == found.epochs
            ]
            test = [fmean(r.metrics.test["ndcg@20"] for r in part) for part in (after, runs)]
            known.add(
                (first.dataset.name, records[0].budget.label.replace("%", " %"), first.method.name,
                 str(longer.epochs(records[0])), str(found.epochs), str(len(found.seeds)),
                 f"{100 * found.gain:+.1f} %", f"{100 * (test[0] / test[1] - 1):+.1f} %")
            )  # fmt: skip
    text = (ROOT / "docs" / "lab" / "passes.md").read_text(encoding="utf-8")
    table = text.partition("| longer |")[2].partition("\n\n")[0].splitlines()[2:]
    shown = set()
    for line in table:
        name, budget, method, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        shown.add((data[name], budget, methods.get(method, method.lower()), *cells))
    assert shown == {row for row in known if row[0] in data.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    if not page.is_file():
        pytest.skip("the page comes with the repository, not with the package")
    for target, heading in links(page):
        assert target.exists(), f"{page.name}: {target}"
        assert not heading or heading in headings(target), f"{page.name}: {target}#{heading}"


@pytest.mark.skipif(not INDEX.is_file(), reason="needs a checkout")
def test_every_page_is_reached_from_its_index_and_readme_links_the_index() -> None:
    laboratory = INDEX.parent / "lab" / "index.md"
    for index in (INDEX, laboratory):
        listed = {target for target, _ in links(index)}
        missing = set(index.parent.glob("*.md")) - listed - {index}
        assert not missing, f"{index}: link {sorted(path.name for path in missing)}"
    assert laboratory in {target for target, _ in links(INDEX)}
    assert INDEX in {target for target, _ in links(ROOT / "README.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_of_the_program_that_pages_name_are_there(page: Path) -> None:
    if not page.is_file():
        pytest.skip("the page comes with the repository, not with the package")
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:bench|methods|tests|datasets|docs)/[\w./-]+\.\w+)`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.skipif(not INDEX.is_file(), reason="needs a checkout")
@pytest.mark.parametrize(
    ("page", "name"), [("README.md", "pophash"), ("docs/own-method.md", "cooccur")]
)
def test_the_methods_that_pages_show_pass_the_checks(tmp_path: Path, page: str, name: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    [code] = [block for block in blocks if "(Method):" in block]
    file = tmp_path / f"{name}.py"
    file.write_text(code, encoding="utf-8")
    checks = check_method(find_methods([file])[name])
    assert checks and not [check for check in checks if not check.passed]


def commands(page: Path) -> list[str]:
    """Lines of a page's code blocks that call `bench`, without what follows a #."""
    blocks = "\n".join(FENCE.findall(page.read_text(encoding="utf-8")))
    return [line.partition("#")[0] for line in re.findall(r"^bench .*$", blocks, re.M)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_code_blocks_have_their_options(page: Path) -> None:
    if not page.is_file():
        pytest.skip("the page comes with the repository, not with the package")
    program = typer.main.get_command(app)
    for line in commands(page):
        name, *words = shlex.split(line)[1:]
        command = program.commands[name]  # type: ignore[attr-defined]
        context = command.context_class(command, info_name=name, resilient_parsing=False)
        try:
            command.make_parser(context).parse_args(args=list(words))
        except Exception as error:
            pytest.fail(f"{page.name}: {line}: {error}")


@pytest.mark.skipif(not INDEX.is_file(), reason="needs a checkout")
def test_the_suite_that_the_page_shows_is_one(tmp_path: Path) -> None:
    text = (INDEX.parent / "suites.md").read_text(encoding="utf-8")
    [content] = re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)
    file = tmp_path / "suite.toml"
    file.write_text(content, encoding="utf-8")
    suite = read_suite(file)
    check_names(suite, find_methods())
    assert suite.override


@pytest.mark.skipif(not INDEX.is_file(), reason="needs a checkout")
def test_pages_that_the_program_names_are_there() -> None:
    for path in [*(ROOT / "bench").rglob("*"), *(ROOT / "methods").rglob("*.py")]:
        if path.suffix in (".py", ".toml"):
            for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
                assert (ROOT / name).is_file(), f"{path.name} names {name}"
