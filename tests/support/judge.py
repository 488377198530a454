"""The judge inside the calling process, for tests that need no other processes."""

from __future__ import annotations

from collections.abc import Mapping

from bench.data import Interactions
from bench.judge.model import Submission, Verdict
from bench.judge.ranking import Ranker
from bench.judge.reading import read
from bench.method import Method


class JudgeHere:
    """Reads and ranks as the judge's processes do."""

    def __init__(self, data: Interactions, methods: Mapping[str, type[Method]]) -> None:
        self._rank, self._methods = Ranker(data), methods

    def __call__(self, handed: Submission) -> Verdict:
        if handed.spec.training is None:
            return self._rank.popularity(handed)
        return self._rank(handed, read(handed, self._methods, "cpu"))
