"""The conversion of an ensemble of trees to a native library: treelite reads it, tl2cgen writes C, cc
compiles it.

The library has one function over whole arrays, so serving needs neither treelite nor tl2cgen, and a call
costs a few microseconds. It is built for exact answers: floating-point operations are not contracted, rows
are rounded to float32 where scikit-learn does that, and missing values are kept apart from numbers.
(tl2cgen's own union takes any float64 whose low half is all ones, such as the one just below 2.5, for a
missing value.)
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.errors import CompileError
from models.manifest import Manifest
from models.publishing.compiling.boundaries import node_counts
from models.runtimes.sklearn_calls import parts

HISTOGRAMS = frozenset({HistGradientBoostingClassifier, HistGradientBoostingRegressor})
FORESTS = frozenset(
    {ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor}
)
ENSEMBLES = HISTOGRAMS | FORESTS | {GradientBoostingClassifier, GradientBoostingRegressor}
SINGLE_TREES = {
    DecisionTreeClassifier: RandomForestClassifier,
    DecisionTreeRegressor: RandomForestRegressor,
}
#: Transformer -> (operator of C, attribute with a number for each column, parameter that switches it on or
#: ""), in the order in which the transformer applies them.
SCALERS: dict[type, tuple[tuple[str, str, str], ...]] = {
    StandardScaler: (("-", "mean_", "with_mean"), ("/", "scale_", "with_std")),
    RobustScaler: (("-", "center_", "with_centering"), ("/", "scale_", "with_scaling")),
    MaxAbsScaler: (("/", "scale_", ""),),
    MinMaxScaler: (("*", "scale_", ""), ("+", "min_", "")),
}
MAX_NODES = 150_000
#: A tree is one function of C. Compiling takes nine seconds at this size, and four times that at twice the
#: size.
MAX_NODES_A_TREE = 20_000
#: The approximate number of nodes in a file of C. Each file takes time to compile, and a file of twice the
#: length takes more than twice the time.
NODES_A_FILE = 1000
COMPILE_SECONDS = 900
FLAGS = ("-O1", "-std=c99", "-fPIC", "-ffp-contract=off")

SOURCE = """
#include "header.h"
#include <math.h>

int plumbline_columns(void) {{ return {columns}; }}
int plumbline_width(void) {{ return {width}; }}

/* rows: n_rows x {columns}; results: n_rows x {width}.
   Returns 0, or the number, from 1, of the first row that it cannot take. */
int64_t plumbline_predict(const double* rows, int64_t n_rows, double* results) {{
  static const char nullable[] = {{ {nullable} }};
  {tables}
  struct Entry data[{columns}];
  double found[N_TARGET * MAX_N_CLASS];
  for (int64_t i = 0; i < n_rows; ++i) {{
    for (int j = 0; j < {columns}; ++j) {{
      double x = rows[i * {columns} + j];
      if (isinf(x) || (isnan(x) && !nullable[j])) {{ return i + 1; }}
      {steps}
      if (isinf(x)) {{ return i + 1; }}
      data[j].fvalue = x;
      data[j].missing = isnan(x) ? -1 : 0;
    }}
    memset(found, 0, sizeof(found));
    predict(data, 0, found);
    {result}
  }}
  return 0;
}}
"""
RESULTS = {
    "same": "memcpy(results + i * {width}, found, sizeof(found));",
    "two classes": "results[2 * i] = 1 - found[0]; results[2 * i + 1] = found[0];",
}


def tree_library(model: Any, manifest: Manifest) -> bytes:
    """Return the shared library of a fitted ensemble, or of a pipeline of scalers and an ensemble.

    Raises CompileError, whose message names what is missing or not supported.
    """
    steps, final = parts(model)
    ensemble = _as_ensemble(final)
    if type(ensemble) not in ENSEMBLES:
        raise CompileError(
            f"{type(ensemble).__name__} is neither a tree nor an ensemble of trees that treelite reads"
        )
    if getattr(ensemble, "_preprocessor", None) is not None:
        raise CompileError(
            "treelite sends a category that was not seen in training another way than scikit-learn does"
        )
    tables, operations = _in_c(steps)
    sizes = node_counts(ensemble)
    nodes = sum(sizes)
    if nodes > MAX_NODES:
        raise CompileError(f"its {nodes:,} nodes take too long to compile; up to {MAX_NODES:,} are taken")
    if max(sizes) > MAX_NODES_A_TREE:
        raise CompileError(
            f"a tree of {max(sizes):,} nodes takes too long to compile; up to {MAX_NODES_A_TREE:,} are taken"
        )
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise CompileError("no C compiler was found: apt-get install gcc libc6-dev")
    try:
        import tl2cgen
        import treelite
    except ImportError as error:
        raise CompileError(
            f"{error.name} is not installed: pip install -r requirements/compiled.txt"
        ) from error

    if type(ensemble) not in HISTOGRAMS:
        operations.append("x = (double)(float)x;")
    signature = manifest.signature
    n_outputs = len(signature.output.classes) or signature.output.size or 1
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        try:
            with _silent():
                trees = treelite.sklearn.import_model(ensemble)
                tl2cgen.generate_c_code(trees, folder, {"parallel_comp": max(2, nodes // NODES_A_FILE)})
        except Exception as error:  # both libraries raise many types
            raise CompileError(f"treelite cannot read it: {' '.join(str(error).split())[:200]}") from error
        for file in (*folder.glob("*.c"), *folder.glob("*.h")):
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("union Entry", "struct Entry"), encoding="utf-8")
        width = 1 if signature.output.kind == "class" and _binary(ensemble) else n_outputs
        result = RESULTS["two classes" if width < n_outputs else "same"].format(width=n_outputs)
        source = SOURCE.format(
            columns=len(signature.columns),
            width=n_outputs,
            nullable=", ".join(str(int(column.nullable)) for column in signature.columns),
            tables="\n  ".join(tables),
            steps="\n      ".join(operations),
            result=f'_Static_assert(N_TARGET * MAX_N_CLASS == {width}, "width");\n    {result}',
        )
        (folder / "plumbline.c").write_text(source, encoding="utf-8")
        return _compiled(compiler, folder)


def is_bit_exact(model: Any) -> bool:
    """Return whether the library performs the same operations as scikit-learn in the same order for every
    row.

    A forest adds and divides, but treelite first divides the classes of a leaf by their sum once more. That
    changes no bit if the sum is exactly 1, and many if it is 1 only up to rounding.
    """
    forest = _as_ensemble(parts(model)[1])
    if type(forest) not in FORESTS or not hasattr(forest, "classes_"):
        return False
    trees = [estimator.tree_ for estimator in forest.estimators_]
    sums = [np.add.accumulate(tree.value[tree.children_left < 0], axis=2)[..., -1] for tree in trees]
    return all(bool((of_tree == 1.0).all()) for of_tree in sums)


def _as_ensemble(model: Any) -> Any:
    """Return a single tree as a forest of one, which treelite reads, and any other model unchanged."""
    if type(model) not in SINGLE_TREES:
        return model
    forest = SINGLE_TREES[type(model)](n_estimators=1)
    forest.estimators_ = [model]
    for name in ("n_features_in_", "n_outputs_", "n_classes_", "classes_"):
        if hasattr(model, name):
            setattr(forest, name, getattr(model, name))
    return forest


def _binary(ensemble: Any) -> bool:
    """Return whether the raw answer is the probability of the second class alone."""
    return type(ensemble) not in FORESTS and len(getattr(ensemble, "classes_", ())) == 2


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what the libraries print about each other's versions, from Python and directly on standard
    error.
    """
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as devnull, contextlib.redirect_stdout(io.StringIO()):
            os.dup2(devnull.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _compiled(compiler: str, folder: Path) -> bytes:
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [compiler, *FLAGS, "-shared", "-o", "model.so", *sources, "-lm"]
    # It gets a session of its own, because a compiler starts processes that would outlive it.
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=COMPILE_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CompileError(f"{compiler} took longer than {COMPILE_SECONDS} s") from error
            raise
    if process.returncode != 0:
        message = next((line for line in errors.splitlines() if "error" in line), "no reason given")
        raise CompileError(
            f"{compiler} failed: {message[:200]}; is the development package of the C library installed?"
        )
    return (folder / "model.so").read_bytes()


def _in_c(steps: Any) -> tuple[list[str], list[str]]:
    """Return the transformers before the trees as tables and operations on ``x``, the value of column
    ``j``.
    """
    tables: list[str] = []
    operations: list[str] = []

    def table(values: Any) -> str:
        name = f"table_{len(tables)}"
        numbers = ", ".join(float(value).hex() for value in np.asarray(values, dtype=np.float64))
        tables.append(f"static const double {name}[] = {{ {numbers} }};")
        return f"{name}[j]"

    for step in steps:
        kind = type(step)
        if kind in SCALERS and not getattr(step, "clip", False):
            for operator, attribute, switch in SCALERS[kind]:
                if not switch or getattr(step, switch):
                    operations.append(f"x = x {operator} {table(getattr(step, attribute))};")
        elif kind is SimpleImputer and _fills_every_column(step):
            operations.append(f"if (isnan(x)) {{ x = {table(step.statistics_)}; }}")
        else:
            raise CompileError(f"{kind.__name__} before the trees has no compiled form")
    return tables, operations


def _fills_every_column(step: SimpleImputer) -> bool:
    numbers = np.asarray(step.statistics_)
    return (
        step.missing_values != step.missing_values  # NaN
        and not step.add_indicator
        and numbers.dtype.kind == "f"
        and bool(np.isfinite(numbers).all())
    )
