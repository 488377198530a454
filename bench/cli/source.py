"""Classes as their source files state them, read without importing the files.

Importing a method imports PyTorch, which takes seconds; a listing needs a few constants only. Each
class statement becomes a class with the same bases and the constants of its body, so that Python
itself finds what a class inherits. A value that is no constant, or a base that no file defines,
raises `NotPlain`; callers then import the files.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import paths

_ROOTS = ("nn.Module", "BaseModel")  # bases outside of the program; nothing listed comes from them
_PLAIN = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)


class NotPlain(Exception):
    """Only an import can tell."""


class Unknown:
    """In place of a value that is no constant."""


class Sources:
    """Classes of source files by module and name; a file is read once."""

    def __init__(self) -> None:
        self._modules: dict[str, Module] = {}

    def module(self, name: str, path: Path | None = None) -> Module:
        """A module of the program by name, or any file under a name.

        Raises:
            NotPlain: there is no such file, or it is no Python.
        """
        if name not in self._modules:
            self._modules[name] = Module(self, name, path or _path(name))
        return self._modules[name]


class Module:
    """What a source file defines and imports."""

    def __init__(self, sources: Sources, name: str, path: Path) -> None:
        self.name, self._sources = name, sources
        try:
            self.body = ast.parse(path.read_bytes()).body
        except (OSError, SyntaxError, ValueError) as error:
            raise NotPlain(f"{path}: {error}") from error
        self._statements = {one.name: one for one in self.body if isinstance(one, ast.ClassDef)}
        self._imports = {
            alias.asname or alias.name: (one.module, alias.name)
            for one in self.body
            if isinstance(one, ast.ImportFrom) and one.module and not one.level
            for alias in one.names
        }
        self._classes: dict[str, type] = {}

    def check_plain(self) -> None:
        """Refuse a file that may define classes by other means than class statements.

        Raises:
            NotPlain: a statement is of another kind, calls for a value, or changes an attribute;
                a class has the name of another.
        """
        classes = [one.name for one in self.body if isinstance(one, ast.ClassDef)]
        if len(classes) > len({*classes} - {*self._imports}):
            raise NotPlain(f"{self.name}: a class whose name is in use")
        for one in self.body:
            if not (isinstance(one, _PLAIN) or _is_docstring(one)) or _makes_more(one):
                raise NotPlain(f"{self.name}: line {one.lineno}")

    def named(self) -> list[type]:
        """Its classes that set `name`, with what they inherit."""
        return [
            self.find(one.name)
            for one in self._statements.values()
            if any(key == "name" for key, _ in _assigned(one))
        ]

    def find(self, name: str) -> type:
        """A class that it defines or imports.

        Raises:
            NotPlain: it has none of that name, or a base of it cannot be found.
        """
        if name in self._imports:
            module, theirs = self._imports[name]
            return self._sources.module(module).find(theirs)
        if name not in self._classes:
            if name not in self._statements:
                raise NotPlain(f"{self.name}: {name}")
            self._classes[name] = self._build(self._statements[name])
        return self._classes[name]

    def _build(self, statement: ast.ClassDef) -> type:
        if statement.decorator_list or statement.keywords:
            raise NotPlain(f"{self.name}: line {statement.lineno}")
        bases = tuple(self._base(one) for one in statement.bases)
        content: dict[str, Any] = {}
        for one in statement.body:
            if isinstance(one, ast.ClassDef):
                content[one.name] = self._build(one)
            elif isinstance(one, ast.FunctionDef):
                content[one.name] = Unknown
            elif not (isinstance(one, ast.Assign | ast.AnnAssign | ast.Pass) or _is_docstring(one)):
                raise NotPlain(f"{self.name}: line {one.lineno}")
        for key, value in _assigned(statement):
            content[key] = _constant(value)
        try:
            return type(statement.name, bases, content)
        except TypeError as error:  # bases in an order that cannot be
            raise NotPlain(f"{self.name}: {error}") from error

    def _base(self, expression: ast.expr) -> type:
        if ast.unparse(expression) in _ROOTS:
            return object
        if isinstance(expression, ast.Name):
            return self.find(expression.id)
        if isinstance(expression, ast.Attribute):
            inner = getattr(self._base(expression.value), expression.attr, None)
            if isinstance(inner, type) and inner is not Unknown:
                return inner
        raise NotPlain(f"{self.name}: line {expression.lineno}")


def plain(value: Any) -> Any:
    """The value itself.

    Raises:
        NotPlain: it is no constant.
    """
    if value is Unknown:
        raise NotPlain("a value that is no constant")
    return value


def _path(module: str) -> Path:
    """The file of a module. Nothing is imported, which `find_spec` of a submodule would do."""
    package, *parts = module.split(".")
    if module.startswith("bench.methods."):
        place = paths.folder("methods").joinpath(*parts[1:])
    else:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise NotPlain(module)
        if not parts and not spec.submodule_search_locations:
            return Path(spec.origin)
        place = Path(spec.origin).parent.joinpath(*parts)
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _assigned(statement: ast.ClassDef) -> list[tuple[str, ast.expr]]:
    """Names that the body of a class sets, with their values."""
    found: list[tuple[str, ast.expr]] = []
    for one in statement.body:
        if isinstance(one, ast.Assign):
            found += [(t.id, one.value) for t in one.targets if isinstance(t, ast.Name)]
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value:
            found.append((one.target.id, one.value))
    return found


def _constant(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return Unknown


def _makes_more(statement: ast.stmt) -> bool:
    """Whether an assignment may make a class or change one."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    named = all(isinstance(one, ast.Name) for one in targets)
    return not named or any(isinstance(part, ast.Call) for part in ast.walk(statement))


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
