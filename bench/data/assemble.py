"""From files to `Interactions`: read, check against the card, repair, split."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.data.blocks import content_kind
from bench.data.cards import Card
from bench.data.csr import CSR
from bench.data.dialect import is_table
from bench.data.headers import Columns
from bench.data.ids import count_items, count_users
from bench.data.interactions import Interactions
from bench.data.labels import Labels
from bench.data.lightgcn import read_lightgcn
from bench.data.meeting import check_meeting, count_spellings
from bench.data.raw import RawPart
from bench.data.sources import Source
from bench.data.split import cut
from bench.data.tables import read_tables
from bench.errors import DataError


def assemble(source: Source, card: Card, local: bool) -> tuple[Interactions, Labels, Labels]:
    """Read the files of a data set and make its training, validation and test part.

    Args:
        source: the files.
        card: what they must hold, and how to split.
        local: whether the data set is the user's own; its split id then ends in a fingerprint.

    Returns:
        The data set, and what the numbers of users and of items stand for in the files.

    Raises:
        DataError: the files cannot be used, or are not what the card says.
    """
    repairs: Counter[str] = Counter()
    parts, labels = _read(source, card, repairs)
    users, items = map(len, labels)
    found: dict[str, CSR] = {}
    for name, part in parts.items():
        repairs.update({f"{name}: {what}": times for what, times in part.repairs.items()})
        found[name], duplicates = CSR.from_pairs(part.users, part.items, users)
        repairs[f"{name}: duplicate pairs dropped"] = duplicates
    del parts
    _verify(source, card, found, users, items)
    check_meeting(found, source.parts, labels, repairs, bool(card.fingerprints.test))
    count_spellings(labels, repairs)

    train, valid, test, rule = _split(source, card, found, repairs)
    data = Interactions(
        name=card.name,
        split=f"{card.name}-{rule}",
        title=card.title or card.name,
        note=card.note,
        users=users,
        items=items,
        train=train,
        valid=valid,
        test=test,
        repairs={what: times for what, times in repairs.items() if times},
        temporal=card.temporal and "all" not in found,
    )
    if local:
        # A name alone does not identify data that only their owner has.
        data = replace(data, split=f"{data.split}-{data.fingerprint[:8]}")
    return data, *labels


def _read(
    source: Source, card: Card, repairs: Counter[str]
) -> tuple[dict[str, RawPart], tuple[Labels, Labels]]:
    """Parts by name; what the numbers of users and items stand for."""
    paths = list(source.parts.values())
    columns = Columns(card.columns.user, card.columns.item, card.columns.rating)
    text = source.lightgcn or content_kind(paths[0]) == ".txt"
    if not text or columns.given or is_table(paths[0]):
        tables, users, items = read_tables(paths, columns, card.min_rating)
        return dict(zip(source.parts, tables, strict=True)), (users, items)
    if card.min_rating is not None:
        raise DataError(
            f"{paths[0]}: LightGCN text has no ratings; drop min_rating from the card, or name the"
            " columns of a table in its first line"
        )
    parts = {name: read_lightgcn(path) for name, path in source.parts.items()}
    user_total = count_users(list(parts.values()))
    item_total, unused = count_items(list(parts.values()), card.counts.items)
    repairs["item ids without interactions kept"] = unused
    return parts, (Labels(np.arange(user_total)), Labels(np.arange(item_total)))


def _verify(source: Source, card: Card, found: dict[str, CSR], users: int, items: int) -> None:
    """Compare the files with the counts and fingerprints of the card."""
    remedy = "fetch the files again, or give their folder as a path if they are your own"
    anywhere = next(iter(source.parts.values())).parent
    for what, number, expected in (
        ("users", users, card.counts.users),
        ("items", items, card.counts.items),
    ):
        if expected is not None and number != expected:
            raise DataError(
                f"{anywhere}: {number:,} {what}, but the card {card.name} has {expected:,};"
                f" {remedy}"
            )
    for part, matrix in found.items():
        key = "interactions" if part == "all" else part
        expected = getattr(card.counts, key, None)
        if expected is not None and matrix.nnz != expected:
            raise DataError(
                f"{source.parts[part]}: {matrix.nnz:,} interactions, but the card {card.name} has"
                f" {expected:,}; {remedy}"
            )
        fingerprint = getattr(card.fingerprints, key, None)
        if fingerprint is not None and matrix.fingerprint() != fingerprint:
            raise DataError(
                f"{source.parts[part]}: fingerprint {matrix.fingerprint()[:12]}…, but the card"
                f" {card.name} has {fingerprint[:12]}…, so the pairs differ; {remedy}"
            )


def _split(
    source: Source, card: Card, found: dict[str, CSR], repairs: Counter[str]
) -> tuple[CSR, CSR, CSR, str]:
    """Training, validation and test part, and the rule that made them as part of the split id."""
    rule = card.split
    if "all" in found:
        train, test = cut(found["all"], rule.test_percent, rule.seed, "test")
    else:
        train, test = found["train"], found["test"]
    cold = "pairs of users without training items dropped"
    # A training item is masked when a user is tested, so such a pair could never be a hit.
    leak = np.isin(test.keys(), train.keys(), assume_unique=True)
    test = _drop(test, leak, repairs, "test: pairs of the training part dropped")
    test = _drop(test, _cold(test, train), repairs, f"test: {cold}")
    if "valid" in found:
        valid = found["valid"]
        known = np.concatenate([train.keys(), test.keys()])
        leak = np.isin(valid.keys(), known, assume_unique=True)
        valid = _drop(valid, leak, repairs, "valid: pairs of the training or test part dropped")
        valid = _drop(valid, _cold(valid, train), repairs, f"valid: {cold}")
    else:
        train, valid = cut(train, rule.valid_percent, rule.seed, "valid")
    if not test.nnz:
        lost = {
            what: times for what, times in repairs.items() if what.startswith("test:") and times
        }
        why = ", ".join(f"{times:,} {what.removeprefix('test: ')}" for what, times in lost.items())
        raise DataError(
            f"{source.parts['test']}: no test interactions are left ({why}); give interactions"
            " that the training part does not have, of users that it has"
            if "test" in source.parts
            else f"{source.parts['all']}: no test interactions are left: too few interactions for"
            " each user; use a larger data set or give a test file"
        )
    return train, valid, test, rule.label(found)


def _cold(part: CSR, train: CSR) -> NDArray[np.bool_]:
    """Which pairs are of users that the training part does not have, bool [nnz]."""
    return (train.degrees() == 0)[part.rows()]


def _drop(part: CSR, which: NDArray[np.bool_], repairs: Counter[str], what: str) -> CSR:
    """Drop some pairs and count them under `what`."""
    times = int(which.sum())
    repairs[what] = times
    return CSR.from_keys(part.keys()[~which], part.indptr.size - 1) if times else part
