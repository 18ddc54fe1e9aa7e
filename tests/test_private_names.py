"""Which private names of libraries does the code use? Exactly those of the table in docs/design-notes.md.

A private name may move with any release. The table names for each the test that then fails.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import pickle
import re
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from models.runtimes.frameworks import FRAMEWORKS
from models.runtimes.pickled import Unpickler
from models.runtimes.sklearn_bodies import body_of
from models.runtimes.user_code import UserCode
from tests.test_layers import PACKAGES, ROOT, sources

NOTES = ROOT / "docs/design-notes.md"
HEADING = "## Private names of libraries"

PRIVATE = re.compile(r"_[A-Za-z]\w*")
#: Endings of sample names in the text format of Prometheus: they are no attribute of anything.
ENDINGS = {"_total", "_count", "_sum", "_bucket"}
#: Type stubs, which only a type checker reads.
STUBS = "_typeshed"


def is_private(name: str) -> bool:
    return PRIVATE.fullmatch(name) is not None


def is_own_object(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def own_names(tree: ast.AST) -> set[str]:
    """Return the private names that a file defines or sets on its own objects."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_own_object(node.value):
            names.add(node.attr)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def foreign_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of every private name that is imported, read off another object, or a string."""
    own = own_names(tree)
    for node in ast.walk(tree):
        names: Iterable[str] = ()
        if isinstance(node, ast.Attribute) and not is_own_object(node.value) and node.attr not in own:
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(STUBS):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in own | ENDINGS
        ):
            names = [node.value]
        yield from ((node.lineno, name) for name in names if is_private(name))  # type: ignore[attr-defined]


def classes(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Return every class outside functions, by its qualified name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield outer + node.name, node
            yield from classes(node, f"{outer}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from classes(node, outer)


def names_of_code(code: types.CodeType) -> set[str]:
    inner = (names_of_code(value) for value in code.co_consts if isinstance(value, types.CodeType))
    return set(code.co_names).union(*inner)


def names_of_class(kind: type) -> set[str]:
    """Return the names that a class of a library defines, and that its methods read."""
    names = {*vars(kind), *inspect.get_annotations(kind)}
    for member in vars(kind).values():
        for function in (member, getattr(member, "fget", None), getattr(member, "__func__", None)):
            if isinstance(function, types.FunctionType):
                names |= names_of_code(function.__code__)
    return names


def inherited_names(tree: ast.AST, module: types.ModuleType) -> Iterator[tuple[int, str]]:
    """(line, name) of every private name that a class shares with one of a library from which it derives."""
    for name, node in classes(tree):
        kind: Any = module
        for part in name.split("."):
            kind = getattr(kind, part)
        above = [
            base for base in kind.__mro__ if base.__module__.split(".")[0] not in (*PACKAGES, "builtins")
        ]
        taken = set().union(*map(names_of_class, above))
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and is_own_object(inner.value):
                used = inner.attr
            elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                used = inner.name
            else:
                continue
            if is_private(used) and used in taken:
                yield inner.lineno, used


def used_names(root: Path) -> dict[str, list[str]]:
    """Private name of a library -> where it is used."""
    used: dict[str, list[str]] = {}
    for name, path in sources(root).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        hits = list(foreign_names(tree))
        if any(node.bases for _, node in classes(tree)) and root == ROOT:
            hits += inherited_names(tree, importlib.import_module(name))
        for line, hit in hits:
            used.setdefault(hit, []).append(f"{path.relative_to(root)}:{line}")
    return used


def table() -> dict[str, str]:
    """Private name -> the test that fails when it moves; documented names need none."""
    section = NOTES.read_text(encoding="utf-8").split(HEADING + "\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {name: row[-1].strip("`") for row in rows[1:] for name in re.findall(r"`(\w+)`", row[1])}


def test_the_table_lists_the_private_names_that_are_used_and_no_others() -> None:
    listed, used = table(), used_names(ROOT)
    missing = {name: places for name, places in used.items() if name not in listed}
    assert not missing, f"use a documented way, or list them under {HEADING!r} with a test: {missing}"
    assert not set(listed) - set(used), "the table lists names that nothing uses"


@pytest.mark.parametrize("test", sorted(set(table().values()) - {"none, it is documented"}))
def test_the_test_that_the_table_names_exists(test: str) -> None:
    file, _, function = test.partition("::")
    files = list((ROOT / "tests").rglob(file))
    assert files, f"there is no {file}"
    assert any(f"def {function}(" in path.read_text(encoding="utf-8") for path in files), test


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("from flask.globals import _cv_app", ["_cv_app"]),
        ("import _ctypes", ["_ctypes"]),
        ("from joblib._store_backends import concurrency_safe_write", ["_store_backends"]),
        ("app._got_first_request = True", ["_got_first_request"]),
        ("class A:\n    def f(self):\n        return self.app._private", ["_private"]),
        ("super()._private()", ["_private"]),
        ("getattr(model, '_predictors', ())", ["_predictors"]),
        ("vars(model).get('_Booster')", ["_Booster"]),
        ("class A:\n    __slots__ = ('_own',)\n    def f(self):\n        return self._own", []),
        ("class A:\n    def __eq__(self, other):\n        return self._own == other._own", []),
        ("from _typeshed.wsgi import StartResponse", []),
        ("model.__dict__['a'] + model.classes_ + '_'", []),
    ],
)
def test_a_private_name_is_found(code: str, names: list[str]) -> None:
    assert [name for _, name in foreign_names(ast.parse(code))] == names


def test_a_private_name_of_a_base_class_is_found() -> None:
    code = "class A(Base):\n    def f(self):\n        self._kept = self._own = 1\n    def _hook(self): ...\n"

    class Base:
        def __init__(self) -> None:
            self._kept = self._hook()

        def _hook(self) -> int:
            return 0

    Base.__module__ = "library"
    module = types.ModuleType("ours")
    exec(code, vars(module) | {"Base": Base}, vars(module))
    module.A.__module__ = "app.ours"
    assert [name for _, name in inherited_names(ast.parse(code), module)] == ["_hook", "_kept"]


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_the_parts_of_a_histogram_boosting_are_where_they_are_looked_for(kind: Any) -> None:
    """If one is missing, the estimator's own method is called, so answers do not show it."""
    X, y = load_iris(return_X_y=True)
    model = kind(max_iter=2).fit(X, y)
    assert body_of(model, "predict_proba" if hasattr(model, "classes_") else "predict") is not None


def test_pickles_of_arrays_name_only_what_may_be_shared() -> None:
    """Protocol 2 writes bytes through a module with a private name."""
    visited: set[str] = set()
    data = io.BytesIO(pickle.dumps(np.arange(3.0), protocol=2))
    Unpickler(data, UserCode({}), visited.add).load()
    assert "_codecs" in visited
    assert visited <= FRAMEWORKS["scikit-learn"].shareable
