"""From a CSV with own ids to recommendations where only NumPy and safetensors are installed.

The commands are those of docs/export.md, in their order. Packages come from the package index.
"""

from __future__ import annotations

import csv
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "export.md"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PAGE.is_file(), reason="needs a checkout"),
]


def block(start: str) -> str:
    """The code block of the page that has this."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python)?\n(.*?)^```$", text, re.M | re.S)
    return next(one for one in blocks if start in one)


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def untraced_code() -> bool:
    state = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True)
    return state.returncode != 0 or bool(state.stdout)


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    if untraced_code():
        pytest.skip("boards rank runs of committed code only, and files differ from the commit")
    draw = random.Random(0)
    with (tmp_path / "clicks.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "item"])
        for user in range(100):
            liked = [item for item in range(80) if item % 5 == user % 5]
            writer.writerows([f"u{user}", f"i{item}"] for item in draw.sample(liked, 9))

    bench = f"{sys.executable} -m bench "
    shell(
        block("bench export --best").replace("bench ", bench, 1).replace("\nbench ", "\n" + bench),
        tmp_path,
    )

    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "results", "reports", "build", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    service = block("-m venv").replace("python ", f"{sys.executable} ", 1)
    shell(service.replace("--no-deps .", f"--no-deps {source}"), tmp_path)

    installed = shell("service/bin/pip list --format=freeze", tmp_path).lower()
    names = {line.partition("==")[0] for line in installed.split()}
    assert names - {"pip", "setuptools"} == {"numpy", "safetensors", "compact-embedding-benchmark"}
    code = block("import compact_lookup\n\ntable = compact_lookup.load")
    code += "\nprint(*(item for item, score in table.recommend('u17', k=10, seen=['i2'])))\n"
    (tmp_path / "use.py").write_text(code)
    found = shell("service/bin/python use.py", tmp_path).split()
    assert len(found) == 10 and "i2" not in found
    assert sum(int(item[1:]) % 5 == 17 % 5 for item in found) >= 8  # what this user likes
