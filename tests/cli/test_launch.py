"""Ctrl-C and SIGTERM while work goes on."""

from __future__ import annotations

import contextlib
import importlib
import signal

import pytest
import typer
from pydantic import BaseModel, model_serializer

from bench.cli.launch import launch


@pytest.fixture(autouse=True)
def attentive():
    """Ctrl-C is heeded, as on a terminal; a shell makes its background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Odd(BaseModel):
    """A model in whose code, which Rust calls, a signal arrives."""

    @model_serializer
    def content(self) -> dict[str, int]:
        signal.raise_signal(signal.SIGINT)
        return {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_work_with_its_exit_status(number, capsys):
    with pytest.raises(typer.Exit) as caught, launch(contextlib.nullcontext()):
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number
    assert "the same command continues" in capsys.readouterr().err


def test_an_interruption_that_a_library_hides_is_one():
    with pytest.raises(typer.Exit) as caught, launch(contextlib.nullcontext()):
        Odd().model_dump()
    assert caught.value.exit_code == 130


def test_other_errors_are_not_hidden():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), launch(contextlib.nullcontext()):
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/r/x.md"), "/r/x.md: Permission denied; name"),
        (OSError(28, "No space left on device", "/r/x.md"), "/r/x.md: No space left on device"),
    ],
)
def test_files_that_cannot_be_written_are_no_traceback(error, said, monkeypatch, capsys):
    module = importlib.import_module("bench.cli.app")

    def broken():
        raise error

    monkeypatch.setattr(module, "app", broken)
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_background_job_goes_on_ignoring_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with launch(contextlib.nullcontext()):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
