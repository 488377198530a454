"""Whether LaTeX tables can be compiled here."""

from __future__ import annotations

import shutil
import subprocess


def no_latex() -> str | None:
    """Return why no table can be compiled here; None where one can."""
    if shutil.which("pdflatex") is None:
        return "pdflatex is not installed"
    for package in ("booktabs", "amssymb", "array", "adjustbox", "longtable"):
        found = subprocess.run(["kpsewhich", f"{package}.sty"], capture_output=True, check=False)
        if found.returncode:
            return f"the LaTeX package {package} is not installed"
    return None
