"""The budget language."""

from __future__ import annotations

import pytest

from bench.budget import Budget, canonical, fraction, parse_budget, parse_bytes
from bench.errors import SpecError

IDS, DIM = 70_839, 64  # Gowalla


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("5%", 906_739),  # 226,684.8 values; x 4, rounded down
        ("100%", IDS * DIM * 4),
        ("0.5%", 90_673),
        ("128k", 512_000),
        ("128K", 512_000),
        ("1.5M", 6_000_000),
        ("256KB", 256_000),
        ("256KiB", 262_144),
        ("1MB", 1_000_000),
        ("1MiB", 1_048_576),
        ("1GB", 10**9),
        ("1000B", 1000),
        (" 10 % ", 1_813_478),
        ("256kb", 256_000),
        ("256 Kb", 256_000),
        ("1mib", 1_048_576),
        ("1MIB", 1_048_576),
        ("1000b", 1000),
    ],
)
def test_amounts_in_bytes(text, cap):
    assert parse_budget(text, IDS, DIM) == Budget(cap, "bytes")


@pytest.mark.parametrize(
    ("text", "cap"),
    [("5%", 226_684), ("128k", 128_000), ("256KB", 64_000), ("7B", 1), ("100%", IDS * DIM)],
)
def test_amounts_in_values(text, cap):
    assert parse_budget(text, IDS, DIM, "values") == Budget(cap, "values")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "five",
        "5%%",
        "-5%",
        "5 percent",
        "1e3",
        "12Ki",
        "%",
        "5BB",
        "5i",
        "5iB",
        "5İ",
        "٣",
        "inf",
    ],
)
def test_what_is_no_amount_is_refused_with_its_text(text):
    with pytest.raises(SpecError, match="budget") as caught:
        parse_budget(text, IDS, DIM)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["0%", "0", "0B", "0.0k"])
def test_nothing_is_no_budget(text):
    with pytest.raises(SpecError, match="less than one"):
        parse_budget(text, IDS, DIM)


def test_less_than_a_value_is_no_budget_of_values():
    assert parse_budget("3B", IDS, DIM).cap == 3
    with pytest.raises(SpecError, match="less than one value;"):
        parse_budget("3B", IDS, DIM, "values")


def test_decimal_shares_are_exact():
    # 0.1 % of 1000 x 10 is 10 values; floats would give 9.999...
    assert parse_budget("0.1%", 1000, 10, "values").cap == 10
    assert parse_budget("0.7%", 1000, 10, "values").cap == 70


@pytest.mark.parametrize("accounting", ["bytes", "values"])
def test_fraction_is_the_share_asked_for(accounting):
    assert fraction(parse_budget("20%", 1000, 10, accounting), 1000, 10) == 0.2


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("12ki", "12KiB"), ("1.5 Gi", "1.5GiB"), ("0.1", "10%"), (".05", "5%"), ("0.005", "0.5%")],
)
def test_an_amount_that_means_another_is_refused_with_that_one(text: str, remedy: str) -> None:
    with pytest.raises(SpecError, match=f"write {remedy}"):
        parse_budget(text, IDS, DIM)
    assert parse_budget(remedy, IDS, DIM).cap >= 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256KB", 256_000),
        ("256kb", 256_000),
        ("1.5MiB", 1_572_864),
        ("256000", 256_000),
        ("7 b", 7),
    ],
)
def test_sizes_in_bytes(text: str, size: int) -> None:
    assert parse_bytes(text, "--max-bytes") == size


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("256k", "write 256KB"),
        ("1.5Mi", "write 1.5MiB"),
        ("5%", "such as 256KB"),
        ("lots", "such as 256KB"),
        ("-3KB", "such as 256KB"),
        ("0", "ask for more"),
        ("0.5", "ask for more"),
    ],
)
def test_what_is_no_size_in_bytes_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(SpecError, match=remedy) as caught:
        parse_bytes(text, "--max-bytes")
    assert "--max-bytes" in str(caught.value) and repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5 %", "5%"),
        ("5.0%", "5%"),
        ("05%", "5%"),
        (".5%", "0.5%"),
        ("100%", "100%"),
        ("1.50 MiB", "1.5MiB"),
        ("128k", "128k"),
        ("128K", "128k"),
        ("2m", "2M"),
        ("256kb", "256KB"),
        ("1 mib", "1MiB"),
        ("4096b", "4096B"),
        ("half", "half"),
        ("5ib", "5ib"),
    ],
)
def test_a_budget_is_shown_in_one_way(text: str, shown: str) -> None:
    assert canonical(text) == shown
