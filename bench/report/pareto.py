"""The Pareto fronts as JSON, for programs."""

from __future__ import annotations

import json

from bench.board import Board, Group, Row

SIZES = ("bytes", "values")
METRICS = ("ndcg@20", "recall@20")


def render(board: Board) -> str:
    """Return the fronts of all groups as JSON text."""
    return json.dumps(fronts(board), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def fronts(board: Board) -> dict[str, object]:
    """Return the fronts of all groups: rows that no smaller ranked row equals."""
    return {
        "schema": 1,
        "groups": [
            {
                "dataset": group.dataset,
                "split": group.split,
                "backbone": group.backbone,
                "note": group.note,
                "passport": group.passport_hash,
                "fronts": [
                    {
                        "size": size,
                        "metric": metric,
                        "rows": [_row(group, row) for row in group.front(size, metric)],
                    }
                    for size in SIZES
                    for metric in METRICS
                ],
            }
            for group in board.groups
        ],
    }


def _row(group: Group, row: Row) -> dict[str, object]:
    numbers: dict[str, object] = {
        key: row.mean(key) for key in (*SIZES, *METRICS, "compression") if row.mean(key) is not None
    }
    for metric in METRICS:
        number = row.numbers.get(metric)
        if number is not None and number.low is not None:
            numbers[f"{metric}_interval"] = [number.low, number.high]
    return {
        **numbers,
        "method": row.method,
        "title": row.label,
        "row": row.key,
        "runs": [record.id for record in row.records],
        "budget": row.first.budget.label if row.first.budget else None,
        "ndcg_kept_percent": group.kept(row),
    }
