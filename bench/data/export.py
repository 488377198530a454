"""Writing a data set for RecBole."""

from __future__ import annotations

from pathlib import Path

from bench.data.interactions import Interactions


def export_recbole(data: Interactions, folder: Path) -> list[Path]:
    """Write the parts as RecBole's atomic files, for `benchmark_filename: [train, valid, test]`.

    A part without interactions is not written: RecBole cannot read an empty file.

    Args:
        data: what to write; user and item ids are written as tokens.
        folder: where to write `<name>.train.inter` and its like; made if need be.

    Returns:
        The files written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in ("train", "valid", "test"):
        matrix = getattr(data, part)
        path = folder / f"{data.name}.{part}.inter"
        if not matrix.nnz:
            path.unlink(missing_ok=True)
            continue
        pairs = zip(matrix.rows().tolist(), matrix.indices.tolist(), strict=True)
        lines = ["user_id:token\titem_id:token", *(f"{user}\t{item}" for user, item in pairs)]
        path.write_bytes(("\n".join(lines) + "\n").encode())
        written.append(path)
    return written
