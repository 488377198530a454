"""Defaults: settings that were tuned on several data sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.check import tiny_data
from bench.errors import SpecError
from bench.method import Choice, LogRange, Range
from bench.method.defaults import default_knobs
from bench.method.registry import find_methods
from bench.method.search_space import BITS
from bench.runs.settings import for_data, resolve
from bench.runs.suite import When, find_suite
from bench.runs.tuned import Found, TunedFile, find_tuned, read_tuned, write_tuned
from bench.tune.defaults import derive, distance, medoid

METHODS = find_methods()


def file(*overrides: Found, backbone: str = "mf") -> TunedFile:
    return TunedFile(study={"backbone": backbone}, override=overrides)


def of(method: str, budget: str, **settings) -> Found:
    rate = settings.pop("lr", None)
    own = settings | ({"training.lr": rate} if rate else {})
    when = When(method=(method,), budget=(budget,) if budget else (), backbone=("mf",))
    return Found(when=when, set=own)


SPACES = {
    "bits": BITS,
    "head": Range(0.0, 1.0),
    "gamma": LogRange(0.01, 1.0),
    "combine": Choice(("add", "mult")),
    "columns": Choice((None, 8, 24)),
}


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ({"head": 0.2}, {"head": 0.7}, 0.5),
        ({"gamma": 0.01}, {"gamma": 0.1}, 0.5),
        ({"gamma": 1e-9}, {"gamma": 1.0}, 1.0),
        ({"bits": 4}, {"bits": 4}, 0.0),
        ({"bits": 2}, {"bits": 8}, 1.0),
        ({"bits": 3}, {"bits": 6}, 0.5),
        ({"bits": None}, {"bits": 8}, 1.0),
        ({"columns": 8}, {"columns": 12}, 0.25),
        ({"combine": "add"}, {"combine": "mult"}, 1.0),
        ({"joint": True}, {"joint": False}, 1.0),
        ({"unknown": 3}, {"unknown": 4}, 1.0),
        ({"head": 0.2, "bits": 2}, {"head": 0.7, "bits": 8}, 1.5),
    ],
)
def test_the_distance_of_two_settings(one, other, far):
    assert distance(one, other, SPACES) == pytest.approx(far)
    assert distance(other, one, SPACES) == pytest.approx(far)


def test_the_medoid_is_one_of_the_points_and_the_nearest_to_all():
    near = {"head": 0.4, "bits": 4}
    points = [{"head": 0.9, "bits": 4}, near, {"head": 0.3, "bits": 4}]
    assert medoid(points, SPACES) is near
    assert medoid(points[:2], SPACES) is points[0]  # of equals the first
    assert medoid([], SPACES) == {}


def test_defaults_at_a_budget_are_the_settings_of_one_of_the_files_that_were_tuned_at_it():
    files = [
        file(of("hashing", "5%", hashes=1, head=0.9, lr=0.01), of("hashing", "20%", hashes=3)),
        file(of("hashing", "5%", hashes=2, head=0.3, lr=0.03)),
        file(of("hashing", "5%", hashes=2, head=0.2, bits=4), of("qr", "10%", bits=4)),
        file(of("cerp-noreg", "5%", sparsity=0.9)),
    ]
    found = {(*one.when.method, *one.when.budget): one.set for one in derive(files, METHODS)}
    # Ablations have none; QR has none at 5 %, where no file has it.
    assert sorted(found) == [("hashing", "20%"), ("hashing", "5%"), ("qr", "10%")]
    # The third differs by 1 in `bits`, the first by 1/3 in `hashes` and by .6 and .7 in `head`.
    assert found["hashing", "5%"] == {
        "bits": None,
        "hashes": 2,
        "head": 0.3,
        "joint": False,
        "user_share": None,
        "width_factor": None,
    }
    # One file alone decides, however far its other budgets are from those of the other files.
    assert found["hashing", "20%"]["hashes"] == 3
    assert not [key for one in found.values() for key in one if key.startswith("training.")]


def test_defaults_are_written_for_boards_and_for_recbole_alike(tmp_path, monkeypatch):
    found = derive([file(of("hashing", "10%", width_factor=1.5, lr=0.01))], METHODS)
    monkeypatch.setattr("bench.paths.folder", lambda name: tmp_path)
    write_tuned(tmp_path / "defaults.toml", {}, found)
    knobs = default_knobs(METHODS["hashing"], "9%", 0.09)
    assert knobs["width_factor"] == 1.5
    assert knobs["bits"] is None
    assert not [name for name in knobs if "." in name]
    METHODS["hashing"].Config.model_validate(knobs)
    assert default_knobs(METHODS["qr"], "9%", 0.09) == {}


def test_data_without_a_suite_have_the_defaults_for_such_data():
    suite, data = find_suite("default"), tiny_data()
    items = (data.train.nnz + data.valid.nnz) // 20
    dense, few = (for_data(suite, replace(data, items=n * data.items)) for n in (1, 100))
    sparse = for_data(suite, replace(data, users=10_000 * data.users, items=items))
    file = find_tuned("defaults")
    for name in ("hashing", "cerp", "pep", "ttrec"):
        settings = resolve(dense, METHODS[name], "10%", "mf")
        assert settings.tuned.startswith("defaults@")
        rate = file.find(name, "10%", "mf").settings.get("training.lr", suite.training.lr)
        assert settings.training.lr == rate
        assert resolve(dense, METHODS[name], "10%", "lightgcn").training.lr == suite.training.lr
        assert settings.training.objective.temperature == 0.2
        knobs = default_knobs(METHODS[name], "10%", 0.1)
        assert {k: getattr(settings.config, k) for k in knobs} == knobs
        settings = resolve(sparse, METHODS[name], "10%", "mf")
        assert settings.tuned.startswith("defaults-sparse@")
        assert settings.training.lr != suite.training.lr
        assert settings.training.objective == suite.training.objective
        assert resolve(few, METHODS[name], "10%", "mf").training.objective.temperature == 0.25
        assert resolve(suite, METHODS[name], "10%", "mf").tuned == ""  # no data yet


def test_defaults_for_one_objective_have_the_rates_of_the_settings_that_were_chosen():
    files = [
        file(of("hashing", "10%", hashes=1, lr=0.1)),
        file(of("hashing", "10%", hashes=3, lr=0.2)),
        file(of("hashing", "10%", hashes=2, lr=0.3)),
    ]
    knobs, rate = derive(files, METHODS, rates=[2])
    assert knobs.set["hashes"] == 2
    assert (rate.when.backbone, rate.set) == (("mf",), {"training.lr": 0.3})
    both = TunedFile(override=(knobs, rate))
    assert both.find("hashing", "10%", "mf").settings == knobs.set | rate.set
    assert both.find("hashing", "10%", "lightgcn").settings == knobs.set
    assert derive(files, METHODS) == (knobs,)
    assert derive(files, METHODS, rates=[0, 1]) == (knobs,)  # files with another objective


def test_defaults_are_the_settings_with_the_least_mean_loss_where_losses_are_known():
    files = [
        file(of("hashing", "10%", hashes=1, lr=0.1), of("hashing", "5%", hashes=1)),
        file(of("hashing", "10%", hashes=2, lr=0.2), of("hashing", "5%", hashes=2)),
        file(of("hashing", "10%", hashes=3, lr=0.3)),
    ]
    losses = {
        ("hashing", "10%", source, data): loss
        for source, row in enumerate([(0, 0.2, 0.3), (0.4, 0, 0.05), (-0.1, 0.5, 0)])
        for data, loss in enumerate(row)
        if source != data
    }
    losses |= {("hashing", "5%", 0, 1): 0.1, ("hashing", "5%", 1, 0): 0.1}
    found = derive(files, METHODS, rates=range(3), losses=losses)
    known = TunedFile(override=found)
    assert known.find("hashing", "10%", "mf").settings["hashes"] == 3
    assert known.find("hashing", "10%", "mf").settings["training.lr"] == 0.3
    assert known.find("hashing", "5%", "mf").settings["hashes"] == 1  # of equals the first
    # The medoid would be another one.
    assert derive(files, METHODS)[0].set["hashes"] == 2


def test_settings_that_nobody_else_can_judge_are_left_out():
    files = [
        file(of("hashing", "10%", hashes=1), of("hashing", "20%", hashes=1), of("qr", "20%")),
        file(of("hashing", "10%", hashes=2)),
    ]
    losses = {("hashing", "10%", 0, 1): 0.1, ("hashing", "10%", 1, 0): 0.2}
    known = TunedFile(override=derive(files, METHODS, losses=losses))
    assert [row.label for row in known.rows() if row.method == "hashing"] == ["10%"]
    assert known.find("hashing", "20%", "mf").settings["hashes"] == 1  # of the nearest budget
    assert known.find("qr", "20%", "mf") is not None  # the only settings of this method
    assert known.find("hashing", "20%", "mf").label == "10%"


def test_the_command_derives_a_file(tmp_path, monkeypatch):
    from bench.cli.tune import defaults

    one = tmp_path / "one.toml"
    write_tuned(one, {"backbone": "mf"}, [of("hashing", "10%", hashes=3)])
    out = tmp_path / "out.toml"
    defaults([str(one)], out)
    assert read_tuned(out).find("hashing", "10%", "mf").settings["hashes"] == 3
    two = tmp_path / "two.toml"
    write_tuned(
        two,
        {"backbone": "mf"},
        [of("hashing", "5%", hashes=2), of("qr", "5%", combine="add", lr=0.1)],
    )
    defaults([str(one)], out, others=[str(two)])
    found = read_tuned(out)
    assert [row.label for row in found.rows() if row.method == "hashing"] == ["10%"]
    assert found.find("qr", "5%", "mf").settings["combine"] == "add"
    assert "training.lr" not in found.find("qr", "5%", "mf").settings
    assert "lack: of" in found.study["note"]
    with pytest.raises(SpecError, match="no tuned settings"):
        defaults(["nothing-here"], out)
