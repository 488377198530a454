"""Panels of figures that have one for each budget."""

import pytest

from bench.report.figures.layout import budget_panels


@pytest.mark.parametrize(
    ("budgets", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))]
)
def test_panels_fill_their_rows(budgets: int, shape: tuple[int, int]) -> None:
    labels = [f"{at}%" for at in range(1, budgets + 1)]
    _, axes = budget_panels(labels, [], title="t", x="x", y="y", notes=[])
    assert len(axes) == budgets
    spec = axes[0].get_subplotspec()
    assert spec is not None
    assert spec.get_gridspec().get_geometry() == shape
