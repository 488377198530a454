import pytest
from support.data import fingerprint, pairs, real_data

from bench.data import load

pytestmark = pytest.mark.data
GOWALLA = "07dc3cca873f417b25705887cb9982d2b1441c80223a630a70d9ef79bf069e5e"


@pytest.fixture(scope="module")
def folder():
    return real_data()


def test_gowalla(folder, tmp_path):
    data = load("gowalla", data_dir=folder, cache_dir=tmp_path)
    assert (data.split, data.repairs, data.note) == ("gowalla-v10-s0", {}, "")
    assert (data.users, data.items) == (29858, 40981)
    assert data.train.nnz + data.valid.nnz == 810128
    assert data.valid.nnz / 810128 == pytest.approx(0.1, abs=1e-4)
    assert data.test.nnz == 217242
    assert data.train.degrees().min() >= 7
    # Results that others have are filed under this content; see docs/data.md before changing it.
    assert data.fingerprint == GOWALLA
    merged = load("gowalla", data_dir=folder, cache_dir=tmp_path, refit=True)
    assert merged.fingerprints["train"].startswith("f44cff05ba25a6cc")
    assert data.fingerprints["valid"] == fingerprint(pairs(data.valid))


def test_gowalla_as_ones_own_files_is_the_same_split(folder, tmp_path):
    own = load(folder / "gowalla", cache_dir=tmp_path)
    assert own.fingerprint == GOWALLA
    assert own.split == f"gowalla-v10-s0-{GOWALLA[:8]}"


def test_yelp_sample(folder, tmp_path):
    if not (folder / "yelp2020-sample" / "train.txt").is_file():
        pytest.skip("the Yelp2020 sample is not here")
    data = load("yelp2020-sample", data_dir=folder, cache_dir=tmp_path)
    assert (data.users, data.items) == (71135, 45063)
    assert data.train.nnz + data.valid.nnz == 556431
    assert data.test.nnz == 139266
    assert data.repairs == {
        "item ids without interactions kept": 153,
        "test: items without training interactions kept": 326,
    }
    assert data.split == "yelp2020-sample-v10-s0"
    assert data.fingerprint.startswith("301497558319cd98")
    assert "36 %" in data.note


# Fingerprints of the splits that the first release made of these files.
OTHERS = {
    "amazon-book-kgat": ("b94605991b25cd80", {"test: users without items": 88}),
    "amazon-cds": ("458bdc84a4779803", {}),
    "ml-1m": ("acb6aea44fe328e7", {}),
    "yelp-nfa": ("093aeccb3cb33262", {"test: items without training interactions kept": 1}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_real_sets_are_those_of_their_cards(folder, tmp_path, name):
    if not (folder / name / "train.txt").is_file():
        pytest.skip(f"{name} is not here")
    data = load(name, data_dir=folder, cache_dir=tmp_path)
    assert data.split == f"{name}-v10-s0"
    assert data.fingerprint.startswith(OTHERS[name][0])
    assert data.repairs == OTHERS[name][1]
    assert data.note
