"""A data set as the engine sees it: three matrices and what identifies them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.csr import CSR


@dataclass(frozen=True, eq=False)
class Interactions:
    """Training, validation and test interactions of one split of one data set.

    Attributes:
        name: name of the data set.
        split: id of the split, the name that results are filed under.
        title: name for people.
        note: what a reader must know before comparing numbers; often empty.
        users: number of users, ids 0 to users - 1.
        items: number of items, ids 0 to items - 1 (the engine adds `users` to them).
        train: training interactions, users x items.
        valid: validation interactions; empty after `refit`.
        test: test interactions.
        fingerprint: hex sha256 over the sizes and the three fingerprints; worked out if not given.
        repairs: what was mended while reading, with how often; empty for clean files.
        temporal: whether test interactions are later than training interactions.
        fingerprints: hex sha256 of the sorted pairs of `train`, `valid` and `test`; worked out if
            not given.
        test_count: number of test interactions, also where `test` was left out; worked out if not
            given.
        files: files that hold the data, so that methods can be kept from reading them.
    """

    name: str
    split: str
    title: str
    note: str
    users: int
    items: int
    train: CSR
    valid: CSR
    test: CSR
    fingerprint: str = ""
    repairs: dict[str, int] = field(default_factory=dict)
    temporal: bool = False
    fingerprints: dict[str, str] = field(default_factory=dict)
    test_count: int = -1
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.test_count < 0:
            object.__setattr__(self, "test_count", self.test.nnz)
        # The cache hands the fingerprints in: hashing a million pairs again costs 20 ms.
        prints = self.fingerprints or {
            "train": self.train.fingerprint(),
            "valid": self.valid.fingerprint(),
            "test": self.test.fingerprint(),
        }
        identity = json.dumps({"users": self.users, "items": self.items, **prints}, sort_keys=True)
        whole = self.fingerprint or hashlib.sha256(identity.encode()).hexdigest()
        object.__setattr__(self, "fingerprints", prints)
        object.__setattr__(self, "fingerprint", whole)

    @property
    def ids(self) -> int:
        """Number of ids, users and items together: the rows of a full embedding table."""
        return self.users + self.items

    def user_counts(self) -> NDArray[np.int64]:
        """Training interactions of each user, int64 [users]."""
        return self.train.degrees()

    def item_counts(self) -> NDArray[np.int64]:
        """Training interactions of each item, int64 [items]."""
        return np.bincount(self.train.indices, minlength=self.items).astype(np.int64)

    def counts(self) -> NDArray[np.int64]:
        """Training interactions of each id, int64 [users + items], users first."""
        return np.concatenate([self.user_counts(), self.item_counts()])

    def blind(self) -> Interactions:
        """Leave out the test part and the files; identity and fingerprints stay."""
        return replace(self, test=CSR.empty(self.users), files=())

    def refit(self) -> Interactions:
        """Merge validation into training, to train for a length that is already chosen."""
        return self.merged("valid", "refit")

    def merged(self, part: Literal["valid", "test"], label: str) -> Interactions:
        """Move a part into training.

        Args:
            part: it is empty afterwards.
            label: what the name of the split gets at its end.
        """
        merged = np.sort(np.concatenate([self.train.keys(), getattr(self, part).keys()]))
        emptied: dict[str, Any] = {part: CSR.empty(self.users)}
        return replace(
            self,
            split=f"{self.split}+{label}",
            train=CSR.from_keys(merged, self.users),
            fingerprint="",
            fingerprints={},
            **emptied,
        )
