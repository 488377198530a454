"""The lazy Adam is dense Adam: against torch.optim.Adam on random access patterns."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.engine import postponed_adam
from bench.engine.adam import Adam
from bench.engine.dense_adam import BETA1, BETA2, EPS
from bench.method.rows import Rows

ROWS, DIM = 40, 3
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5}


class Pair:
    """The same table under our Adam and under torch's, fed with the same losses."""

    def __init__(self, seed: int = 0, lr: float = 0.01) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.ours, self.theirs = Rows(ROWS, DIM), Rows(ROWS, DIM)
        self.ours.normal(0.1, self.generator)
        self.theirs.load_state_dict(self.ours.state_dict())
        self.lr = lr
        self.adam = Adam([{"params": [self.ours.weight], "lr": lr}], [self.ours])
        self.torch = torch.optim.Adam(
            self.theirs.parameters(), lr=lr, betas=(BETA1, BETA2), eps=EPS, foreach=False
        )

    def ids(self, count: int) -> torch.Tensor:
        return torch.randint(ROWS, (count,), generator=self.generator)

    def step(self, *reads: torch.Tensor) -> None:
        """One step with a loss that reads the table once for each array of ids."""
        weights = [torch.randn(*ids.shape, DIM, generator=self.generator) for ids in reads]
        for table in (self.ours, self.theirs):
            loss = torch.zeros(())
            for ids, weight in zip(reads, weights, strict=True):
                rows = table(ids)
                loss = loss + (rows * weight).sum() + rows.square().sum()
            if reads:
                loss.backward()
        self.adam.step()
        if self.theirs.weight.grad is None:
            self.theirs.weight.grad = torch.zeros_like(self.theirs.weight)
        self.torch.step()
        self.torch.zero_grad()

    def apart(self) -> float:
        self.adam.flush()
        return float((self.ours.weight - self.theirs.weight).detach().abs().max())


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def tolerance(request, loops):
    torch.set_default_dtype(request.param)
    yield TOLERANCE[request.param]
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def loops(request, monkeypatch):
    """With compiled loops, if there are any, and without."""
    if not request.param:
        monkeypatch.setattr(postponed_adam, "available", lambda: False)


@pytest.mark.parametrize("seed", range(4))
def test_equals_dense_adam_on_random_sparse_access(tolerance, seed):
    pair = Pair(seed)
    for _ in range(120):
        pair.step(pair.ids(int(torch.randint(1, 9, (), generator=pair.generator))))
    assert pair.apart() < tolerance


def test_rows_are_read_as_dense_adam_has_them(tolerance):
    # The loss depends on the rows read: were they stale, gradients would drift apart.
    pair = Pair()
    for step in range(60):
        pair.step(pair.ids(4))
        if step % 7 == 0:
            ids = pair.ids(5)
            ours = pair.ours(ids).detach()
            pair.adam.step()  # takes back the read: gradients are zero
            pair.torch.zero_grad()
            pair.theirs.weight.grad = torch.zeros_like(pair.theirs.weight)
            assert torch.allclose(ours, pair.theirs(ids).detach(), rtol=0, atol=tolerance)
            pair.torch.step()
            pair.torch.zero_grad()
    assert pair.apart() < tolerance


def test_duplicates_and_shapes_in_a_batch(tolerance):
    pair = Pair()
    for _ in range(50):
        ids = pair.ids(3)
        pair.step(torch.stack((ids, ids.flip(0), ids)))
    assert pair.apart() < tolerance


def test_sorted_and_unsorted_batches_agree(tolerance):
    pair = Pair()
    for _ in range(40):
        pair.step(pair.ids(6).unique())
        pair.step(pair.ids(6).unique().flip(0))
    assert pair.apart() < tolerance


def test_flush_in_between_changes_nothing(tolerance):
    pair = Pair()
    for step in range(60):
        pair.step(pair.ids(3))
        if step % 5 == 0:
            assert pair.apart() < tolerance
    pair.adam.flush()
    assert pair.apart() < tolerance


def test_table_read_twice_in_one_step(tolerance):
    pair = Pair()
    for _ in range(40):
        pair.step(pair.ids(3), pair.ids(5))
        pair.step(pair.ids(3))
    assert pair.apart() < tolerance


def test_sparse_read_then_whole_table_in_one_step(tolerance):
    pair = Pair()
    for _ in range(20):
        pair.step(pair.ids(3))
        pair.step(pair.ids(3), torch.arange(ROWS))
    assert pair.apart() < tolerance


def test_lazy_and_dense_steps_in_turn(tolerance):
    pair = Pair()
    for step in range(80):
        pair.step(torch.arange(ROWS) if step % 9 == 4 else pair.ids(3))
    assert pair.apart() < tolerance


def test_lazy_steps_after_more_dense_ones_than_the_window_has(tolerance):
    pair = Pair()
    for _ in range(410):
        pair.step(torch.arange(ROWS))
    for _ in range(5):
        pair.step(pair.ids(4))
    assert pair.apart() < tolerance


def test_step_without_any_read_moves_on_by_momentum(tolerance):
    pair = Pair()
    for step in range(60):
        if step % 3 == 2:
            pair.step()
        else:
            pair.step(pair.ids(3))
    assert pair.apart() < tolerance


def test_row_untouched_for_longer_than_the_window(tolerance):
    pair = Pair(lr=0.001)
    pair.step(torch.arange(ROWS))
    for _ in range(450):
        pair.step(torch.tensor([0, 1]))
    pair.step(torch.tensor([5, 39]))
    assert pair.apart() < tolerance


def test_state_and_load_resume(tolerance):
    pair = Pair()
    for _ in range(30):
        pair.step(pair.ids(3))
    state = copy.deepcopy(pair.adam.state())
    other = Rows(ROWS, DIM)
    other.load_state_dict(pair.ours.state_dict())
    pair.ours, pair.adam = other, Adam([{"params": [other.weight], "lr": pair.lr}], [other])
    pair.adam.load(state)
    for _ in range(30):
        pair.step(pair.ids(3))
    assert pair.apart() < tolerance


def test_resumed_run_is_bit_identical_to_an_unbroken_one(loops):
    def run(cut: int | None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(2)
        table = Rows(ROWS, DIM)
        table.normal(0.1, generator)
        adam = Adam([{"params": [table.weight], "lr": 0.01}], [table])
        for step in range(40):
            ids = torch.randint(ROWS, (4,), generator=generator)
            (table(ids) * torch.randn(4, DIM, generator=generator)).sum().backward()
            adam.step()
            if step % 10 == 9:  # an epoch's end: everything is brought up to date either way
                adam.flush()
            if step == cut:
                weights, state = copy.deepcopy(table.state_dict()), copy.deepcopy(adam.state())
                table = Rows(ROWS, DIM)
                table.load_state_dict(weights)
                adam = Adam([{"params": [table.weight], "lr": 0.01}], [table])
                adam.load(state)
        adam.close()
        return table.weight.detach()

    assert torch.equal(run(None), run(19))
    assert torch.equal(run(None), run(29))


def test_untouched_rows_are_not_rewritten_by_a_step(loops):
    pair = Pair()
    pair.step(torch.arange(ROWS))
    pair.adam.flush()
    before = pair.ours.weight.detach().clone()
    pair.step(torch.tensor([1, 2]))
    moved = (pair.ours.weight.detach() != before).any(1).nonzero().flatten().tolist()
    assert moved == [1, 2]
    pair.adam.flush()
    assert bool((pair.ours.weight.detach() != before).any(1).all())


def test_parameters_with_decay_are_updated_as_torch_does(tolerance):
    generator = torch.Generator().manual_seed(3)
    ours = torch.nn.Parameter(torch.randn(5, 2, generator=generator))
    theirs = torch.nn.Parameter(ours.detach().clone())
    adam = Adam([{"params": [ours], "lr": 0.01, "weight_decay": 0.1}])
    other = torch.optim.Adam([theirs], lr=0.01, weight_decay=0.1, eps=EPS, foreach=False)
    for _ in range(50):
        weight = torch.randn(5, 2, generator=generator)
        for parameter in (ours, theirs):
            (parameter * weight).sum().backward()
        adam.step()
        other.step()
        other.zero_grad()
    assert float((ours - theirs).detach().abs().max()) < tolerance


def test_table_with_decay_is_not_postponed(tolerance):
    pair = Pair()
    pair.adam.close()
    group = {"params": [pair.ours.weight], "lr": 0.01, "weight_decay": 0.1}
    pair.adam = Adam([group], [pair.ours])
    pair.torch = torch.optim.Adam(
        pair.theirs.parameters(), lr=0.01, weight_decay=0.1, eps=EPS, foreach=False
    )
    for _ in range(40):
        pair.step(pair.ids(2))
    assert float((pair.ours.weight - pair.theirs.weight).detach().abs().max()) < tolerance


@pytest.mark.parametrize(("steps", "low", "high"), [(5000, -10.3, -10.2), (10000, -5.84, -5.74)])
def test_thresholds_rise_by_coupled_decay_alone(steps, low, high):
    """Coupled decay of 1e-5 under Adam carries s = -15 up by about one learning rate a step."""
    s = torch.nn.Parameter(torch.tensor([-15.0]))
    adam = Adam([{"params": [s], "lr": 1e-3, "weight_decay": 1e-5}])
    for _ in range(steps):
        adam.step()
    assert low <= float(s.detach()) <= high


def test_without_decay_thresholds_stay():
    s = torch.nn.Parameter(torch.tensor([-15.0]))
    adam = Adam([{"params": [s], "lr": 1e-3}])
    for _ in range(1000):
        adam.step()
    assert float(s.detach()) == -15.0


def test_closed_optimiser_lets_go_of_the_table():
    pair = Pair()
    assert pair.ours.reader is not None
    pair.adam.close()
    assert pair.ours.reader is None


def test_read_without_gradients_leaves_the_optimiser_alone():
    pair = Pair()
    with torch.no_grad():
        assert torch.equal(pair.ours(torch.tensor([3])), pair.ours.weight[3:4])
    pair.step(torch.tensor([3]))
    assert pair.apart() < 1e-6
