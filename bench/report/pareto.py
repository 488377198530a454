"""The Pareto fronts as JSON, for programs."""

from __future__ import annotations

import json

from bench.board import Board, Boards, Row

SIZES = ("bytes", "values")
METRICS = ("ndcg@20", "recall@20")


def render(boards: Boards) -> str:
    """Return the fronts of all boards as JSON text."""
    return json.dumps(fronts(boards), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def fronts(boards: Boards) -> dict[str, object]:
    """Return the fronts of all boards: rows that no smaller ranked row equals."""
    return {
        "schema": 1,
        "groups": [
            {
                "dataset": board.dataset,
                "split": board.split,
                "backbone": board.backbone,
                "note": board.note,
                "passport": board.protocol_hash,
                "fronts": [
                    {
                        "size": size,
                        "metric": metric,
                        "rows": [_row(board, row) for row in board.front(size, metric)],
                    }
                    for size in SIZES
                    for metric in METRICS
                ],
            }
            for board in boards.boards
        ],
    }


def _row(board: Board, row: Row) -> dict[str, object]:
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
        "ndcg_kept_percent": board.kept(row),
    }
