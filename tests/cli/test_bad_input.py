"""Bad input of every kind is refused in one line that names file, value and remedy."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.bad_input import CASES, PLUGINS, Bad, document, told

import bench
from bench.budget import VALUE_BYTES, fraction, parse_budget
from bench.errors import BenchError, SpecError
from bench.records.scan import scan
from bench.records.schema import digest
from bench.runs.settings import override
from bench.runs.spec import RunSpec
from bench.runs.suite import read_suite, validated

PAGE = Path(bench.__file__).parent.parent / "docs" / "bad-input.md"


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.kind)
def test_bad_input_is_one_line_with_file_value_and_remedy(bad: Bad) -> None:
    status, message = told(bad.kind)
    assert status == 2, message
    assert message.startswith("error: ")
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    for part in bad.says:
        assert part in message


def test_there_are_kinds_enough_and_no_two_alike() -> None:
    assert len({bad.kind for bad in CASES}) == len(CASES) >= 40
    assert len({(bad.words, tuple(sorted(bad.files.items()))) for bad in CASES}) == len(CASES)
    assert len(PLUGINS) >= 5


@pytest.mark.skipif(not PAGE.is_file(), reason="needs a checkout")
@pytest.mark.skipif(version("polars") < "2", reason="messages of polars 1 have other words")
def test_the_page_says_what_the_command_says() -> None:
    remedy = "write it again: PYTHONPATH=tests python -m support.bad_input > docs/bad-input.md"
    assert PAGE.read_text(encoding="utf-8") == document(), remedy


# The budget language -----------------------------------------------------------------------------

NUMBERS = st.from_regex(r"\A(0|[1-9][0-9]{0,6})(\.[0-9]{1,4})?\Z")
UNITS = st.sampled_from(["%", "", "k", "K", "M", "G", "B", "KB", "kB", "MB", "GB", "KiB", "MiB"])


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_an_error_that_quotes_it(text: str) -> None:
    try:
        found = parse_budget(text, 1000, 64)
    except SpecError as error:
        assert repr(text) in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        assert found.cap >= 1


@given(NUMBERS, UNITS, st.integers(1, 10**9), st.integers(1, 512))
@example("1234567", "", 1000, 64)
def test_bytes_are_four_times_the_values(number: str, unit: str, ids: int, dim: int) -> None:
    try:
        values = parse_budget(number + unit, ids, dim, "values").cap
    except SpecError:
        assume(False)
    if not unit:  # bytes or values: nobody can tell
        with pytest.raises(SpecError, match="has no unit") as told:
            parse_budget(number, ids, dim, "bytes")
        in_bytes, in_values = re.findall(r"write (\S+) for bytes, (\S+) for", str(told.value))[0]
        assert parse_budget(in_values, ids, dim, "values").cap == values
        assert parse_budget(in_bytes, ids, dim).cap == values
        return
    size = parse_budget(number + unit, ids, dim, "bytes").cap
    assert values * VALUE_BYTES <= size < (values + 1) * VALUE_BYTES
    assert parse_budget(f"  {number} {unit} ", ids, dim, "values").cap == values
    assert fraction(parse_budget("100%", ids, dim), ids, dim) == 1


@given(st.integers(1, 10**6), st.integers(1, 10**6), UNITS)
def test_more_is_never_less(one: int, other: int, unit: str) -> None:
    low, high = sorted((one, other))
    try:
        smaller = parse_budget(f"{low}{unit}", 70_839, 64).cap
    except SpecError:
        assume(False)
    assert smaller <= parse_budget(f"{high}{unit}", 70_839, 64).cap


# Settings, suites, specs and records -------------------------------------------------------------


@given(st.text(max_size=40))
def test_any_setting_is_applied_or_refused_in_one_line(text: str) -> None:
    try:
        override(validated({}, "test"), [text])
    except SpecError as error:
        # What breaks lines in the message is then what was typed.
        assert len(str(error).splitlines()) == 1 or text.splitlines() != [text]
    except BenchError:
        raise AssertionError("an error of another kind") from None


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_file_is_a_suite_or_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    try:
        read_suite(path)
    except SpecError as error:
        assert str(path) in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_spec_or_refused(value: object) -> None:
    try:
        spec = RunSpec.model_validate(value)
    except ValidationError:
        return
    assert digest(spec.canonical()) == spec.id


@given(st.binary(max_size=300) | JSON.map(repr).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_file_among_records_is_named_and_harms_nobody(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s" / "mf" / "m" / "0123456789ab.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    found = scan(tmp_path)
    assert found.records == ()
    assert [bad.path for bad in found.rejected] == ["s/mf/m/0123456789ab.json"]
    assert found.rejected[0].reason
