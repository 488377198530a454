"""Pruned tables with a scale a row: what is not kept has no part in it."""

from __future__ import annotations

import pytest
import torch

from bench.budget import Budget
from bench.method import rounding
from bench.method.precision import Storage
from bench.method.registry import get_method
from bench.method.rounding import fit
from bench.method.size import describe
from bench.method.storage import decode, encode, encoded, rounded
from bench.method.table import Table

FORMS = [(b, "normal") for b in (1, 2, 3, 4)] + [(b, "uniform") for b in (2, 4, 8)]
USERS = 15


def pruned() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of all sizes, of which each entry is kept or not; rows 3 and 20 keep nothing."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(40, 7, generator=generator) * torch.logspace(-3, 2, 40).unsqueeze(1)
    mask = torch.rand(40, 7, generator=generator) < 0.6
    mask[3], mask[20], mask[21] = False, False, True
    return table, mask


def test_an_entry_that_is_not_kept_has_no_part_in_the_scale_by_hand():
    storage = Storage(4, "uniform", "row")
    table, mask = torch.tensor([[9.0, 0.7, -0.32]]), torch.tensor([[False, True, True]])
    units, scale = fit(table, storage, None, mask)
    assert units.tolist() == [[0, 7, -3]]
    assert scale.item() == pytest.approx(0.1, rel=0.022)  # the grid of bytes
    found = encode("x", table, storage, None, mask)
    assert found["x.codes"].tolist() == [(7 + 8) + 16 * (-3 + 8)]  # two codes of 4 bits
    assert found["x.scale"].dtype == torch.uint8 and len(found["x.scale"]) == 3


@pytest.mark.parametrize(("bits", "levels"), FORMS)
def test_rows_are_fitted_as_if_they_had_their_kept_entries_alone(bits, levels):
    storage, (table, mask) = Storage(bits, levels, "row"), pruned()
    units, scale = fit(table, storage, None, mask)
    assert not units[~mask].any()
    for row in range(len(table)):
        if not mask[row].any():
            assert scale[row] == 0
            continue
        alone, own = fit(table[row : row + 1, mask[row]], storage, None)
        assert torch.equal(units[row, mask[row]], alone[0])
        assert torch.equal(scale[row], own[0])


@pytest.mark.parametrize(("bits", "levels"), FORMS)
def test_compiled_loops_and_plain_operations_agree(bits, levels, monkeypatch):
    storage, (table, mask) = Storage(bits, levels, "row"), pruned()
    units, scale = fit(table, storage, None, mask)
    monkeypatch.setattr(rounding, "available", lambda: False)
    plain, own = fit(table, storage, None, mask)
    assert torch.allclose(plain, units) and torch.allclose(own, scale)


@pytest.mark.parametrize(("bits", "levels"), FORMS)
@pytest.mark.parametrize("scale_bits", [4, 8])
@pytest.mark.parametrize("scale", ["row", "item"])
@pytest.mark.parametrize("users", [None, USERS])
def test_the_file_gives_back_the_kept_values_to_the_bit(bits, levels, scale, scale_bits, users):
    storage, (table, mask) = Storage(bits, levels, scale, scale_bits=scale_bits), pruned()
    stored, count = encode("x", table, storage, users, mask), int(mask.sum())
    assert describe(stored) == encoded("x", (count,), storage, users, len(table))
    found = decode("x", stored, (count,), storage, users, mask)
    whole = rounded(table, storage, users, mask)
    assert torch.equal(found, whole[mask])
    assert not whole[~mask].any()


def test_users_of_length_one_cost_no_scale():
    kind, table = get_method("pep"), Table(30, 20, 8)
    sizes = {
        scale: kind.file_arrays(table, kind.Config(bits=4, kept=200, scale=scale))
        for scale in ("row", "item", "side")
    }
    found = {scale: arrays["stored.scale"] for scale, arrays in sizes.items()}
    assert found["row"] == (torch.uint8, (50 + 2,))
    assert found["item"] == (torch.uint8, (20 + 2,))
    assert found["side"] == (torch.float32, (1,))


@pytest.mark.parametrize("name", ["pep", "cerp"])
def test_rows_of_unequal_lengths_lose_less_by_scales_of_their_own(name):
    """3 bits a value; the first half of the rows is ten times as long as the rest."""
    kind, table, error = get_method(name), Table(60, 40, 16), {}
    buckets = {"buckets": 50} if name == "cerp" else {}
    for scale in ("row", "side"):
        method = kind(table, kind.Config(bits=3, kept=700, scale=scale, **buckets))
        method.reset(torch.Generator().manual_seed(0))
        weight = method.stored.weight
        method.mask.copy_(
            torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.6
        )
        with torch.no_grad():
            weight[: len(weight) // 2] *= 10
            found = method.stored(torch.arange(len(weight)))
            short = slice(len(weight) // 2, None)
            off = (found - weight)[short][method.mask[short]].square().mean()
            error[scale] = float(off / weight[short].square().mean())
    assert error["row"] < 0.1 < error["side"]


@pytest.mark.parametrize("scale", [None, "item", "side"])
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("ids", [1_000, 2_389, 20_000])
def test_a_width_factor_of_one_leaves_nothing_to_prune(ids, share, bits, scale):
    """Also where the header takes a column."""
    if (ids, share) == (1_000, 0.02):
        pytest.skip("the header takes more than a column")
    kind = get_method("pep")
    table = Table(ids // 3, ids - ids // 3, 64, Budget(round(share * ids * 64 * 4)), wide=True)
    config = kind.plan(table, kind.Config(width_factor=1.0, bits=bits, scale=scale))
    assert config.kept == ids * config.width
