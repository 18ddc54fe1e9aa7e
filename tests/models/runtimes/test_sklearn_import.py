"""scikit-learn is imported without pandas, and no part of it needs pandas."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from models.runtimes.sklearn_import import TESTED, WithoutPandas

ROOT = Path(__file__).parents[3]
SPEC = find_spec("sklearn")
assert SPEC is not None and SPEC.origin is not None
SKLEARN = Path(SPEC.origin).parent
#: The one module that imports pandas when it is imported itself.
FIXES = SKLEARN / "utils" / "fixes.py"

ORDERS = {
    "alone": "import_sklearn()",
    "after pandas": "import pandas; import_sklearn()",
    "before pandas": "import_sklearn(); import pandas",
}


def ran(code: str) -> str:
    """Return the output of code in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_installed_release_was_tested() -> None:
    """Any other release imports pandas, which works but takes memory. If this file passes with it, add it to
    the table.
    """
    assert metadata.version("scikit-learn") in TESTED


def imports_at_the_top(node: ast.AST) -> Iterator[str]:
    """Return what a module imports when it is imported itself, without what its functions import."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module or ""
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports_at_the_top(child)


def test_one_module_of_scikit_learn_imports_pandas_at_its_top_and_never_reads_the_name() -> None:
    sources = {path: path.read_text() for path in SKLEARN.rglob("*.py") if "tests" not in path.parts}
    with_pandas = {
        path
        for path, text in sources.items()
        if "pandas" in text
        and any(name.split(".")[0] == "pandas" for name in imports_at_the_top(ast.parse(text)))
    }
    assert with_pandas == {FIXES}
    for path, text in sources.items():
        if "fixes" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("fixes"):
                    assert "pd" not in {alias.name for alias in node.names}, path
            assert "fixes.pd" not in text, path
    for node in ast.walk(ast.parse(sources[FIXES])):
        if isinstance(node, ast.FunctionDef) and "pd" not in {a.arg for a in node.args.args}:
            read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            assert "pd" not in read, node.name


@pytest.mark.parametrize("code", ORDERS.values(), ids=list(ORDERS))
def test_pandas_comes_only_where_it_is_imported_itself(code: str) -> None:
    """It may be imported in any order, and scikit-learn recognises a DataFrame as soon as one exists."""
    lines = ran(
        "import sys\nfrom models.runtimes.sklearn_import import import_sklearn\n"
        f"{code}\nprint('pandas' in sys.modules, *(type(f).__name__ for f in sys.meta_path))\n"
        "from sklearn.linear_model import LinearRegression\n"
        "import pandas as pd\n"
        "X = pd.DataFrame({'a': [1.0, 2.0], 'b': [0.0, 1.0]})\n"
        "print(*LinearRegression().fit(X, [1, 2]).feature_names_in_)\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "print(type(StandardScaler().set_output(transform='pandas').fit_transform(X)).__name__)"
    ).splitlines()
    assert lines[0].split()[0] == str("import pandas" in code)
    assert "WithoutPandas" not in lines[0]
    assert lines[1:] == ["a b", "DataFrame"]


def test_other_threads_find_pandas_meanwhile() -> None:
    finder = WithoutPandas()
    with pytest.raises(ModuleNotFoundError):
        finder.find_spec("pandas", None)
    assert finder.find_spec("pandas.core", None) is None
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(finder.find_spec("pandas", None)))
    thread.start()
    thread.join()
    assert elsewhere == [None]
