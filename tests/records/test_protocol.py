"""What two runs must share to be ranked together, and which code has to be found again."""

from __future__ import annotations

from typing import Any

import pytest
from support.make_records import TOYS, make

from bench.records.protocol import agrees, differences, protocol_of, untraced
from bench.records.schema import PROTOCOL, Record, digest


def record(
    method: str, dim: int = 64, protocol: int = PROTOCOL, commit: str = "0000000", **changes: Any
) -> Record:
    made, _ = make(TOYS[0], "mf", method, 0.1, 0, **changes)
    made["spec"] |= {"dim": dim, "protocol": protocol}
    made["env"]["commit"] = commit
    return Record.model_validate(made | {"id": digest(made["spec"])})


def test_a_control_of_another_width_is_ranked_and_a_method_is_not() -> None:
    board = protocol_of(record("cerp", dim=64))
    control, method = (protocol_of(record(name, dim=32)) for name in ("dims", "qr"))
    assert "dim" not in control and agrees(control, board)
    assert method["dim"] == 32
    assert differences(method, board) == ["dim: 32 instead of 64"]


def test_a_control_shares_the_training_all_the_same() -> None:
    board = protocol_of(record("cerp"))
    control = protocol_of(record("dims", training={"batch": 512, "lr": 1.0}))
    assert differences(control, board) == ["training.batch: 512 instead of 1024"]


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        ("0123456789ab", ""),
        ("unknown", "code of an unknown state"),
        ("0123456789ab-dirty", "code with uncommitted changes (0123456789ab-dirty)"),
    ],
)
def test_code_has_to_be_found_again_from_the_second_protocol_on(commit: str, why: str) -> None:
    assert untraced(record("cerp", protocol=1, commit=commit)) == ""
    for protocol in (2, PROTOCOL):
        found = untraced(record("cerp", protocol=protocol, commit=commit))
        assert found.startswith(why) and bool(found) == bool(why)
