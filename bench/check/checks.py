"""The list of conformance checks, and running them on a method.

The checks take a few seconds on tiny data and need no GPU. A check that fails says what is wrong
and what to do about it.
"""

from __future__ import annotations

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
    subject = Subject(method_class)
    return [_outcome(name, check, subject) for name, check in CHECKS.items()]


def _outcome(name: str, check: Callable[[Subject], str], subject: Subject) -> Check:
    try:
        return Check(name, True, check(subject))
    except Finding as failure:
        return Check(name, False, str(failure))
    except (Exception, SystemExit) as error:  # `sys.exit` would end the checks in silence
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Check(name, False, f"raised {type(error).__name__} at {place}: {error}")


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
