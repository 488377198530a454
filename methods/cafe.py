"""CAFE: important ids have rows of their own, the others share rows by a hash function."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.methods.hashing import Hashing

from bench.method import USERS, WIDE, Choice, Field, Range


class CAFE(Hashing):
    """`hashing` with one hash function, in which the most frequent ids have rows of their own.

    CAFE learns online which ids are important: a sketch keeps sums of gradient norms, and an id
    moves to a row of its own, or back, as its sum changes. Here training data are known in advance
    and ids are numbered by frequency, to which these sums are close. So the important ids are the
    first ones, and neither a sketch nor a map has to be stored. This is an ablation: it shows what
    `hashing` loses or gains by its second hash function.
    """

    name = "cafe"
    title = "CAFE, offline"
    paper = "Zhang et al., SIGMOD 2024"
    role = "ablation"
    paper_title = (
        "CAFE: Towards Compact, Adaptive, and Fast Embedding for Large-scale Recommendation Models"
    )
    year = 2024
    url = "https://arxiv.org/abs/2312.03256"
    space: ClassVar = {
        "head": Range(0.1, 0.99),
        "joint": Choice((False, True)),
        "user_share": USERS,
        "width_factor": WIDE,
    }

    class Config(Hashing.Config):
        """As `Hashing`, with one hash function; `head`: 1 - hash rate of the paper's code."""

        hashes: Literal[1] = 1
        head: float = Field(0.7, ge=0, lt=1)
