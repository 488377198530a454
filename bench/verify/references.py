"""Published numbers and the records of ours that are compared with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.files import check_model, read_toml
from bench.method.registry import get_method
from bench.records.schema import Record
from bench.runs.settings import override, resolve
from bench.runs.suite import Suite, find_suite

METRICS = {"recall@20": "recall", "ndcg@20": "ndcg"}
Verdict = Literal["agrees", "higher", "lower", "for orientation", "not found", "not run"]
_Share = Field(default=None, gt=0, le=1)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Part):
    """What a source reports.

    Attributes:
        source: who reports it; link: where.
        recall, ndcg: Recall@20 and NDCG@20 on the test part; None if it has none.
        tolerance: share of the published value that ours may be off; None if the source is shown
            for orientation only, for the reason `why`.
    """

    source: str
    link: str = ""
    recall: float | None = _Share
    ndcg: float | None = _Share
    tolerance: float | None = _Share
    why: str = ""


class Reference(_Part):
    """A run of ours, and who published numbers of it.

    Attributes:
        name: for people.
        suite: its settings, by name or file.
        method: which of the suite's methods.
        refit: train again on train + validation, whatever the suite says.
        published: the sources; none means that none was found.
    """

    name: str
    suite: str
    method: str
    refit: bool = False
    published: tuple[Published, ...] = ()

    def resolved(self) -> Suite:
        """The suite, reduced to this run.

        Raises:
            SpecError: there is no such suite.
        """
        suite = find_suite(self.suite)
        if self.refit:
            suite = override(suite, ["training.refit=true"])
        return suite.model_copy(update={"methods": (self.method,)})


@dataclass(frozen=True)
class Line:
    """A metric of a source beside ours.

    Attributes:
        reference, metric, source: what is compared.
        published: None if the source has none, or there is no source.
        ours: mean over the seeds; None without a run. sd: None for one seed.
        seeds: how many runs.
        tolerance: share of the published value; None for orientation.
        verdict: what it comes to.
        why: what keeps the two from being comparable.
    """

    reference: str
    metric: str
    source: str
    published: float | None
    ours: float | None
    sd: float | None
    seeds: int
    tolerance: float | None
    verdict: Verdict
    why: str = ""

    @property
    def difference(self) -> float | None:
        """Ours less the published value."""
        if self.ours is None or self.published is None:
            return None
        return self.ours - self.published

    @property
    def failed(self) -> bool:
        """Whether ours should agree and does not, or is missing."""
        return self.verdict in ("higher", "lower") or (
            self.verdict == "not run" and self.tolerance is not None
        )


def read_references(path: Path) -> tuple[Reference, ...]:
    """Reads a file of published numbers.

    Raises:
        SpecError: naming the file, the key and the remedy.
    """
    return check_model(_File, read_toml(path), str(path), "docs/verify.md has the keys").reference


class _File(_Part):
    reference: tuple[Reference, ...]


def matching(reference: Reference, records: Iterable[Record]) -> list[Record]:
    """The records of a reference run: the same data set, backbone, width, method and training.

    They are found without the data, so that verdicts can be read where the data are not.
    """
    suite = reference.resolved()
    found = []
    for record in records:
        spec = record.spec
        if record.status != "ok" or spec.dataset.name != suite.dataset:
            continue
        if record.method.name != reference.method or spec.dim != suite.dim:
            continue
        if record.method.role != "reference" and not _same_settings(suite, record):
            continue
        found.append(record)
    return found


def _same_settings(suite: Suite, record: Record) -> bool:
    spec = record.spec
    if spec.backbone.name != suite.backbones[0] or spec.budget is not None:
        return False
    wanted = resolve(suite, get_method(record.method.name), None, spec.backbone.name)
    return (
        spec.backbone.config == wanted.backbone.stored()
        and spec.training == wanted.training.model_dump(mode="json")
        and all(spec.method.config.get(key) == value for key, value in wanted.knobs.items())
        and spec.seed < suite.seeds
    )


def compare(references: Sequence[Reference], records: Sequence[Record]) -> list[Line]:
    """Every metric of every source beside ours; a reference without a source has a line, too."""
    lines = []
    for reference in references:
        runs = matching(reference, records)
        for published in reference.published or (Published(source=""),):
            for metric, field in METRICS.items():
                values = [run.metrics.test[metric] for run in runs if run.metrics is not None]
                lines.append(_line(reference.name, metric, published, field, values))
    return lines


def _line(
    name: str, metric: str, published: Published, field: str, values: Sequence[float]
) -> Line:
    theirs: float | None = getattr(published, field)
    mean = fmean(values) if values else None
    verdict: Verdict
    if theirs is None:
        verdict = "not found"
    elif mean is None:
        verdict = "not run"
    elif published.tolerance is None:
        verdict = "for orientation"
    elif abs(mean - theirs) <= published.tolerance * theirs:
        verdict = "agrees"
    else:
        verdict = "higher" if mean > theirs else "lower"
    facts: dict[str, Any] = {
        "sd": stdev(values) if len(values) > 1 else None,
        "tolerance": published.tolerance,
        "why": published.why,
    }
    return Line(
        name,
        metric,
        published.source,
        theirs,
        mean,
        seeds=len(values),
        verdict=verdict,
        **facts,
    )
