import subprocess
import sys

import pytest
from support.data import alone_fixture, cards_fixture, write  # noqa: F401

from bench.data import list_cards, load
from bench.data.cards import find_card, read_card
from bench.errors import DataError

INSTALLED = [
    "amazon-book-kgat",
    "amazon-cds",
    "gowalla",
    "ml-100k",
    "ml-1m",
    "yelp-nfa",
    "yelp2020",
    "yelp2020-sample",
]


def test_installed_cards_say_what_a_reader_needs():
    found = list_cards()
    assert [card.name for card in found] == INSTALLED
    for card in found:
        assert card.title
        assert card.source
        assert card.licence
        assert card.citation
        assert card.counts.users
        assert card.counts.items
        assert card.fingerprints.test or card.fingerprints.interactions


def test_a_sample_says_that_it_is_one():
    assert "36 % sample" in find_card("yelp2020-sample").note
    assert not find_card("yelp2020-sample").files


@pytest.mark.parametrize("name", ["nothing", "../datasets/gowalla", "", "."])
def test_other_names_are_no_cards(name):
    assert find_card(name) is None


BAD = {
    "unknown key": ('name = "x"\nlicense = "MIT"\n', "line 2: unknown key 'license'"),
    "unknown inner key": ('name = "x"\n[counts]\nrows = 1\n', "line 3: unknown key 'counts.rows'"),
    "text for a number": ('name = "x"\n[counts]\nusers = "9"\n', "line 3: counts.users: Input"),
    "negative": ('name = "x"\n[counts]\nusers = -9\n', "line 3: counts.users: Input"),
    "fraction": ('name = "x"\n[split]\nvalid_percent = 0.1\n', "line 3: split.valid_percent: "),
    "no name": ('title = "x"\n', "name: Field required"),
    "name with a path": ('name = "../x"\n', "line 1: name: String should match"),
    "short fingerprint": (
        'name = "x"\n[fingerprints]\ntrain = "ab"\n',
        "line 3: fingerprints.train",
    ),
    "not TOML": ("name = \n", "not TOML: Invalid value (at line 1, column 8)"),
    "latin-1": ('name = "é"'.encode("latin-1"), "not UTF-8"),
    "unverifiable": (
        'name = "x"\n[[files]]\nname = "a"\nurls = ["b"]\n',
        ": files.0: git_blob or md5 is needed",
    ),
    "path as file": (
        'name = "x"\n[[files]]\nname = "../a"\nurls = ["b"]\n',
        "files.0.name: String should match",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_cards_are_refused_with_line_and_key(tmp_path, name):
    content, message = BAD[name]
    path = write(tmp_path, x_toml=content) / "x.toml"
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_installed_card_is_named(cards):
    write(cards, x_toml='name = "x"\nwrong = 1\n')
    with pytest.raises(DataError, match="unknown key 'wrong'"):
        load("x")


def test_importing_loads_nothing_heavy():
    # Each command of the command line pays for this import.
    code = "import sys, bench.data; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "polars", "pooch", "requests", "recbole"} & set(
        out.stdout.split()
    )
