"""Do the imports of app, schemas and models point down only, as CONTRIBUTING.md draws it?

The tables below are the rule; `faults` reads every import with ast, those inside functions included. Imports under
`if TYPE_CHECKING` count as well: a type from above is a dependency on what is above.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A unit is a package or a single file; a module belongs to the longest unit that is a prefix of its name.
LEVELS = {
    "wsgi": 12,
    "gunicorn.conf": 12,
    "app.factory": 12,
    "app.switch": 12,
    "app.cli": 12,
    "app.banner": 11,
    "app.wiring": 11,
    "app.api": 11,
    "app.worker": 11,
    "app.monitoring": 10,
    "app.engine": 9,
    "app.operations": 9,
    "app.catalog": 8,
    "app.inference": 7,
    "app.host": 7,
    "app.concurrency": 6,
    "schemas": 5,
    "app.credentials": 5,
    "app.config": 5,
    "models.zoo": 4,
    "models.publishing": 3,
    "models.runtimes": 2,
    "models.store": 2,
    "models": 1,
}
# Units of one level ignore each other but for these.
SIDEWAYS = {
    ("wsgi", "app.factory"),
    ("wsgi", "app.switch"),
    ("app.switch", "app.factory"),
    ("app.factory", "app.cli"),
    ("app.credentials", "app.config"),
}
#: The rooms between the front ends and the models.
ROOMS = ("app.engine", "app.operations", "app.catalog", "app.inference", "app.host", "app.concurrency")
FORBIDDEN = {
    **{(room, "schemas"): "a room takes arrays and plain values" for room in ROOMS},
    **{(room, "app.config"): "a room is given its numbers" for room in ROOMS},
    **{(room, "app.credentials"): "a room is given its keys" for room in ROOMS},
    **{(room, "models.publishing"): "a server never publishes" for room in (*ROOMS, "app.api", "app.wiring")},
    ("app.inference", "models.store"): "inference answers rows, and reads no files",
    ("app.inference", "models.runtimes"): "inference is given a loaded model",
}
# These libraries only there; every other library is free.
LIBRARIES = {
    "flask": ("app.api", "app.factory", "app.switch", "app.cli", "wsgi"),
    "flasgger": ("app.api", "app.factory"),
    "marshmallow": ("schemas", "app.api"),
    "apispec": ("schemas", "app.api"),
    "gevent": ("app.concurrency", "app.monitoring", "app.worker", "gunicorn.conf"),
    "gunicorn": ("app.worker", "gunicorn.conf"),
    "prometheus_client": ("app.monitoring",),
    "environs": ("app.config",),
}
PACKAGES = ("app", "schemas", "models")
ENTRY_FILES = ("wsgi.py", "gunicorn.conf.py")
ZOO = "models.zoo"
ZOO_TESTS = ("tests/models/zoo/", "tests/models/test_zoo")

DEMO_WORDS = re.compile(r"fraud|recommend|demand|stock|iris", re.IGNORECASE)
# The one setting whose default is a demo model: (file, the whole literal).
DEMO_WORD_ALLOWED = ("app/config/settings.py", "iris")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path) -> dict[str, Path]:
    """Module name -> file, for everything that the layer table covers."""
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    files += [root / name for name in ENTRY_FILES if (root / name).exists()]
    return {module_name(path, root): path for path in files if "artifacts" not in path.parts}


def imported_names(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import; `from a import b` gives a.b, because b may be a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def within(name: str, unit: str) -> bool:
    return name == unit or name.startswith(unit + ".")


def unit_of(name: str) -> str | None:
    return max((unit for unit in LEVELS if within(name, unit)), key=len, default=None)


def edge_fault(source: str, target: str) -> str | None:
    """Return the reason why the unit `source` may not import the unit `target`."""
    if (source, target) in FORBIDDEN:
        return FORBIDDEN[source, target]
    if LEVELS[source] < LEVELS[target]:
        return "imports point down"
    if LEVELS[source] == LEVELS[target] and (source, target) not in SIDEWAYS:
        return f"units of level {LEVELS[source]} ignore each other"
    return None


def module_fault(module: str, name: str) -> str | None:
    """Return the reason why the module may not import the name."""
    unit, target = unit_of(module), unit_of(name)
    library = name.split(".")[0]
    if library in LIBRARIES:
        allowed = LIBRARIES[library]
        return None if unit in allowed else f"{library} is only for {', '.join(allowed)}"
    if target is None:  # another library, or a file that is itself reported as being in no unit
        return None
    if unit is None:
        return "app/__init__.py is a docstring" if module == "app" else None
    return None if unit == target else edge_fault(unit, target)


def cycle(edges: Mapping[str, set[str]]) -> Sequence[str]:
    """Return the modules of one import cycle, or an empty list."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return ()


def faults(root: Path) -> list[str]:
    modules = sources(root)
    found: list[str] = []
    edges: dict[str, set[str]] = {}
    for module, path in modules.items():
        where = path.relative_to(root)
        if module.split(".")[0] in PACKAGES and module not in PACKAGES and unit_of(module) is None:
            found.append(f"{where}: in no unit of the layer table")
        edges[module] = set()
        for line, name in imported_names(path, module):
            if reason := module_fault(module, name):
                found.append(f"{where}:{line}: imports {name}: {reason}")
            target = name if name in modules else name.rpartition(".")[0]
            if target in modules and target != module:
                edges[module].add(target)
    if loop := cycle(edges):
        found.append("import cycle: " + " -> ".join(reversed(loop)))
    return found


def zoo_faults(root: Path) -> list[str]:
    """Imports of a demo model outside models/zoo and its tests. The package itself, models.zoo, lists them and may be used."""
    files = [*sources(root).values(), *sorted((root / "tests").rglob("*.py"))]
    found = []
    for path in files:
        where = path.relative_to(root).as_posix()
        if where.startswith(("models/zoo/", *ZOO_TESTS)):
            continue
        demos = {f"{ZOO}.{file.stem}" for file in (root / "models/zoo").glob("*.py")} - {f"{ZOO}.__init__"}
        for line, name in imported_names(path, module_name(path, root)):
            found += [f"{where}:{line}: imports {demo}" for demo in demos if within(name, demo)]
    return found


def docstrings(tree: ast.AST) -> set[ast.AST]:
    bodies = (getattr(node, "body", None) for node in ast.walk(tree))
    first = (body[0] for body in bodies if body and isinstance(body, list))
    return {node.value for node in first if isinstance(node, ast.Expr)}


def demo_word_faults(root: Path) -> list[str]:
    """String literals (docstrings aside) of app, schemas and models that name a demo model."""
    found = []
    for path in sources(root).values():
        where = path.relative_to(root).as_posix()
        if where.startswith("models/zoo/"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = docstrings(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)) or node in prose:
                continue
            if DEMO_WORDS.search(node.value) and (where, node.value) != DEMO_WORD_ALLOWED:
                found.append(f"{where}:{node.lineno}: {node.value!r} names a demo model")
    return found


def test_imports_point_down_only() -> None:
    assert faults(ROOT) == []


def test_only_the_zoo_and_its_tests_import_demo_models() -> None:
    assert zoo_faults(ROOT) == []


def test_no_string_outside_the_zoo_names_a_demo_model() -> None:
    assert demo_word_faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("models/store/store.py", "import app.config", "imports point down"),
        ("models/store/store.py", "def f():\n    from schemas.predict import Body", "imports point down"),
        ("app/engine/engine.py", "from app.monitoring import metrics", "imports point down"),
        ("app/engine/engine.py", "from app.operations import rollout", "level 9 ignore each other"),
        ("app/engine/engine.py", "from ..config import Settings", "a room is given its numbers"),
        ("app/engine/engine.py", "import schemas.predict", "a room takes arrays"),
        ("app/engine/engine.py", "import flask", "flask is only for"),
        ("app/api/predict.py", "from app.wiring import build", "level 11 ignore each other"),
        ("app/api/predict.py", "from app.factory import create_app", "imports point down"),
        ("app/cli.py", "from app.factory import create_app", "level 12 ignore each other"),
        ("app/wiring.py", "from prometheus_client import Counter", "prometheus_client is only for"),
        ("app/utils.py", "", "in no unit of the layer table"),
        ("app/__init__.py", "from app.config import Settings", "app/__init__.py is a docstring"),
        ("schemas/a.py", "import schemas.b", "import cycle: schemas.a -> schemas.b -> schemas.a"),
        ("app/inference/batcher.py", "import gevent", "gevent is only for"),
        ("app/inference/batcher.py", "from models.store import Store", "reads no files"),
        ("app/wiring.py", "from models.publishing import publish", "a server never publishes"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, file: str, code: str, expected: str) -> None:
    plant(tmp_path, {file: code, "schemas/b.py": "def f():\n    from schemas.a import g", "wsgi.py": ""})
    (fault,) = faults(tmp_path)
    assert expected in fault


def test_what_the_table_allows_passes(tmp_path: Path) -> None:
    allowed = {
        "wsgi.py": "import flask\nfrom app.switch import Switch\nfrom app.factory import create_app",
        "gunicorn.conf.py": "import gevent\nfrom app.config import Settings\nimport app.worker",
        "app/factory.py": "from app import cli\nimport app.api.predict, app.wiring, models.store.store",
        "app/monitoring/drift.py": "from app.inference.messages import Prediction\nimport numpy, prometheus_client",
        "app/engine/engine.py": "from app.inference import batcher\nfrom models.errors import ModelError",
        "app/concurrency/forms.py": "import gevent",
    }
    plant(tmp_path, allowed)
    assert faults(tmp_path) == []


def test_a_planted_demo_model_is_caught(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "models/zoo/__init__.py": "DEMOS = ('iris',)",
            "models/zoo/iris.py": "NAME = 'iris'",
            "app/config/settings.py": "default_model = 'iris'",
            "app/wiring.py": "from models.zoo import iris\ntitle = 'Fraud score'",
            "tests/test_app.py": "import models.zoo.iris",
            "tests/models/zoo/test_iris.py": "import models.zoo.iris",
        },
    )
    assert zoo_faults(tmp_path) == [
        "app/wiring.py:1: imports models.zoo.iris",
        "tests/test_app.py:1: imports models.zoo.iris",
    ]
    assert demo_word_faults(tmp_path) == ["app/wiring.py:2: 'Fraud score' names a demo model"]


def plant(root: Path, files: Mapping[str, str]) -> None:
    for file, code in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
