"""The list of conformance checks, and running them on a method.

The checks take a few seconds on tiny data and need no GPU. A check that fails says what is wrong
and what to do about it.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.check import declared, inputs, sizes, state, training
from bench.check.subject import Finding, Subject
from bench.method import Method


@dataclass(frozen=True)
class Check:
    """Outcome of one check: its name, whether it passed, and what was found (or what to do)."""

    name: str
    passed: bool
    detail: str


def check_method(method_class: type[Method]) -> list[Check]:
    """Run all checks on a method, in the order of `CHECKS`.

    A check that raises counts as failed; the others run nevertheless.
    """
    subject, raised = Subject(method_class), dict[str, str]()
    return [_outcome(name, check, subject, raised) for name, check in CHECKS.items()]


def _outcome(
    name: str, check: Callable[[Subject], str], subject: Subject, raised: dict[str, str]
) -> Check:
    """Run a check; `raised` has the first check that each error came from."""
    try:
        return Check(name, True, check(subject))
    except Finding as failure:
        return Check(name, False, str(failure))
    except (Exception, SystemExit) as error:  # `sys.exit` would end the checks in silence
        frames = traceback.extract_tb(error.__traceback__)
        file = _file(subject.kind)
        # The author looks for a line of the method, not for one of a library that it calls.
        where = next((one for one in reversed(frames) if one.filename == file), frames[-1])
        place = f"{Path(where.filename).name}:{where.lineno}"
        detail = f"raised {type(error).__name__} at {place}: {error}"
        first = raised.setdefault(detail, name)
        return Check(name, False, detail if first == name else f"raised the error of {first!r}")


def _file(kind: type[Method]) -> str:
    """The file that a class is written in; "" for one that was typed in."""
    try:
        return inspect.getfile(kind)
    except (OSError, TypeError):
        return ""


CHECKS: dict[str, Callable[[Subject], str]] = {
    "identity": declared.identity,
    "config": declared.config,
    "imports": declared.imports,
    "plan": sizes.plan,
    "minimum": sizes.minimum,
    "packed size": sizes.packed_size,
    "pack": state.pack,
    "forward": state.forward,
    "batches": state.batches,
    "reset": state.reset,
    "round trip": state.round_trip,
    "inputs": inputs.inputs,
    "state dict": state.state_dict,
    "initial scale": state.scale,
    "gradients": training.gradients,
    "optimiser": training.optimiser,
    "penalty": training.penalty,
    "loss": training.loss,
    "whole run": training.whole_run,
    "mask": training.mask,
}
