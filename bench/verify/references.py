"""Published numbers and our records that are compared with them."""

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
    """Numbers of a published source.

    Attributes:
        source: name of the source; link: its address.
        recall, ndcg: Recall@20 and NDCG@20 on the test part; None if the source has none.
        tolerance: largest difference that passes, as a share of the published value; None if the
            source is shown for orientation only.
        why: why it is for orientation only.
    """

    source: str
    link: str = ""
    recall: float | None = _Share
    ndcg: float | None = _Share
    tolerance: float | None = _Share
    why: str = ""


class Reference(_Part):
    """A run of ours and the sources that published numbers of it.

    Attributes:
        name: name that the report shows.
        suite: name or file of the suite with the settings.
        method: one of the methods of the suite.
        refit: train again on train + validation, even if the suite does not.
        published: the sources; empty if none was found.
    """

    name: str
    suite: str
    method: str
    refit: bool = False
    published: tuple[Published, ...] = ()

    def resolved(self) -> Suite:
        """Return the suite, reduced to this run.

        Raises:
            SpecError: there is no such suite.
        """
        suite = find_suite(self.suite)
        if self.refit:
            suite = override(suite, ["training.refit=true"])
        return suite.model_copy(update={"methods": (self.method,)})


@dataclass(frozen=True)
class Line:
    """A metric of a source and our value.

    Attributes:
        reference, metric, source: names of the reference, the metric and the source.
        published: the published value; None without one.
        ours: mean over the seeds; None without a run.
        sd: standard deviation over the seeds; None for one seed.
        seeds: number of runs.
        tolerance: share of the published value; None for orientation.
        verdict: result of the comparison.
        why: why the two values are not comparable.
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
        """Our value minus the published value."""
        if self.ours is None or self.published is None:
            return None
        return self.ours - self.published

    @property
    def failed(self) -> bool:
        """Whether our value should agree with the published one, and differs or is missing."""
        return self.verdict in ("higher", "lower") or (
            self.verdict == "not run" and self.tolerance is not None
        )


def read_references(path: Path) -> tuple[Reference, ...]:
    """Read a file of published numbers.

    Raises:
        SpecError: the file is wrong; the message names the file, the key and the remedy.
    """
    return check_model(_File, read_toml(path), str(path), "docs/verify.md has the keys").reference


class _File(_Part):
    reference: tuple[Reference, ...]


def matching(reference: Reference, records: Iterable[Record]) -> list[Record]:
    """Return the records of a reference: same data set, backbone, width, method and training.

    The search needs no data, so that verdicts can be read on a machine without them.
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
    """Return a line for every metric of every source, and for a reference without a source."""
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
