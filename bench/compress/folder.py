"""Writing compressed vectors as a folder of the form that `bench export` writes."""

from __future__ import annotations

from pathlib import Path

from bench.compress.tables import Outcome
from bench.compress.vectors import Vectors
from bench.export.card import needs
from bench.export.folder import Sizes, by_kind, reads_back, write_files
from bench.export.names import names_file


def write(folder: Path, outcome: Outcome, vectors: Vectors) -> Sizes:
    """Write the table of a method with the ids of its rows.

    Args:
        folder: made if need be.
        outcome: has a file.
        vectors: what was compressed.

    Raises:
        BenchError: `compact_lookup` reads other rows than the program.
        StoreError: the folder cannot be written.
    """
    ids = names_file(vectors.user_ids, vectors.item_ids)
    content, kind = outcome.content, outcome.kind
    read = reads_back(folder, content, kind)
    sizes = Sizes(len(content), len(ids), by_kind(content, kind), read)
    write_files(folder, outcome.content, ids, _card(outcome, vectors, sizes))
    return sizes


def _card(outcome: Outcome, vectors: Vectors, sizes: Sizes) -> str:
    """The description in Markdown."""
    assert outcome.metrics is not None
    full = 4 * vectors.dim * (len(vectors.users) + len(vectors.items))
    tested = "".join(
        f"- {label} on test interactions: {outcome.metrics[key]:.4f}\n"
        for key, label in (("test ndcg@20", "NDCG@20"), ("test recall@20", "Recall@20"))
        if key in outcome.metrics
    )
    count = f"{len(vectors.users):,} users and {len(vectors.items):,} items"
    kept = f"{outcome.metrics['kept']:.1%}"
    return f"""# {outcome.kind.title}

Vectors of {count} in {sizes.table:,} bytes, {100 * sizes.table / full:.1f} % of the
{full:,} bytes in float32. Method: {outcome.kind.title} ({outcome.detail or "default settings"}).

- Of the 20 items with the highest original scores of a user, {kept} are among the 20
  with the highest scores now (mean over users).
{tested}
## Use
{needs()}

```python
import compact_lookup

table = compact_lookup.load(".")
table.user("USER"), table.item("ITEM")
table.recommend("USER", k=20, seen=["ITEM"])
```

`ids.safetensors` has {sizes.ids:,} bytes.
"""
