"""Defaults: the middle of what was tuned on several data sets."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.method.defaults import default_knobs
from bench.method.registry import find_methods
from bench.runs.settings import resolve
from bench.runs.suite import When, find_suite
from bench.runs.tuned import Found, TunedFile, read_tuned, write_tuned
from bench.tune.defaults import derive, middle

METHODS = find_methods()


def file(*overrides: Found, backbone: str = "mf") -> TunedFile:
    return TunedFile(study={"backbone": backbone}, override=overrides)


def of(method: str, budget: str, **settings) -> Found:
    rate = settings.pop("lr", None)
    own = settings | ({"training.lr": rate} if rate else {})
    when = When(method=(method,), budget=(budget,) if budget else (), backbone=("mf",))
    return Found(when=when, set=own)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([3, 1, 2], 2),
        ([0.2, 0.1], 0.1),
        ([None, None, 1.5], None),
        ([None, 1.5], 1.5),
        (["add", "mult", "add"], "add"),
        ([True, False], True),
        ([False, True, True], True),
    ],
)
def test_the_middle_is_one_of_the_values(values, found):
    assert middle(values) == found
    assert type(middle(values)) is type(found)


def test_defaults_are_the_middle_at_each_budget_and_a_file_counts_with_its_nearest():
    files = [
        file(of("hashing", "5%", hashes=1, head=0.9, lr=0.01), of("hashing", "20%", hashes=3)),
        file(of("hashing", "4%", hashes=2, wide=1.5, lr=0.03)),
        file(of("hashing", "10%", hashes=2, width_factor="none", bits=4, lr=0.02)),
        file(of("cerp-noreg", "5%", sparsity=0.9)),
    ]
    found = {one.when.budget[0]: one.set for one in derive(files, METHODS)}
    assert sorted(found) == ["10%", "20%", "4%", "5%"]
    assert found["5%"]["hashes"] == 2
    assert found["5%"]["head"] == 0.0  # the default counts where a file leaves a knob out
    assert found["5%"]["width_factor"] is None
    assert found["5%"]["bits"] is None
    assert found["5%"]["training.lr"] == 0.02
    assert found["20%"]["hashes"] == 2


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


def test_data_without_a_suite_have_the_programs_defaults():
    suite = find_suite("default")
    for name in ("hashing", "cerp", "pep"):
        settings = resolve(suite, METHODS[name], "10%", "mf")
        assert settings.config.width_factor is not None
        assert settings.tuned.startswith("defaults@")
        knobs = default_knobs(METHODS[name], "10%", 0.1)
        assert {k: getattr(settings.config, k) for k in knobs} == knobs


def test_the_command_derives_a_file(tmp_path, monkeypatch):
    from bench.cli.tune import defaults

    one = tmp_path / "one.toml"
    write_tuned(one, {"backbone": "mf"}, [of("hashing", "10%", hashes=3)])
    out = tmp_path / "out.toml"
    defaults([str(one)], out)
    assert read_tuned(out).find("hashing", "10%", "mf").settings["hashes"] == 3
    with pytest.raises(SpecError, match="no tuned settings"):
        defaults(["nothing-here"], out)
