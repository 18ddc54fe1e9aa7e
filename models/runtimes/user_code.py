"""The import of a version's own Python modules: from verified bytes, under a private name for each version.

Two versions may have different code under one module name, and a module called ``app``, ``models`` or
``schemas`` must not be confused with the server's own. Import statements inside the code find its own modules
first.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from models.errors import PublishError
from models.manifest import FileRecord

PREFIX = "code/"
MAX_BYTES = 16 * 2**20

#: The file of a version's code that is being imported in this context.
RUNNING: ContextVar[str] = ContextVar("RUNNING", default="")


def collect(path: Path) -> dict[str, bytes]:
    """Return the files of a module (``.py``), a package, or a directory of modules, by their paths in a
    version.

    Raises PublishError if there are none, for links, and over 16 MiB.
    """
    if path.suffix == ".py" and path.is_file():
        return {f"{PREFIX}{path.name}": path.read_bytes()}
    if not path.is_dir():
        raise PublishError(f"--code {path}: no Python file or directory there")
    files: dict[str, bytes] = {}
    root = path.resolve()
    package = f"{root.name}/" if (root / "__init__.py").is_file() else ""
    for file in sorted(root.rglob("*")):
        hidden = any(p.startswith(".") or p == "__pycache__" for p in file.relative_to(root).parts)
        if hidden or not file.is_file():
            continue
        if file.is_symlink():
            raise PublishError(f"--code {path}: {file.name} is a link; copy the file itself there")
        files[f"{PREFIX}{package}{file.relative_to(root).as_posix()}"] = file.read_bytes()
    if not any(name.endswith(".py") for name in files):
        raise PublishError(f"--code {path}: no Python file there")
    if sum(map(len, files.values())) > MAX_BYTES:
        raise PublishError(f"--code {path}: more than {MAX_BYTES // 2**20} MiB; name the module alone")
    return files


class UserCode(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """The modules of one version: a finder and a loader over bytes in memory.

    The name of the private package contains the digest of the files, so that the same code is imported once.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = {
            name.removeprefix(PREFIX): data for name, data in files.items() if name.startswith(PREFIX)
        }
        joined = b"".join(
            k.encode() + b"\0" + FileRecord.of(v).sha256.encode() for k, v in sorted(self.files.items())
        )
        self.package = f"plumbline_code_{FileRecord.of(joined).sha256[:16]}"

    @property
    def top_level(self) -> list[str]:
        """The names by which the code can be imported."""
        return sorted({name.split("/")[0].removesuffix(".py") for name in self.files if name.endswith(".py")})

    def install(self) -> None:
        """Make the private package importable in this process, unless it already is."""
        if self.files and not any(
            isinstance(f, UserCode) and f.package == self.package for f in sys.meta_path
        ):
            sys.meta_path.append(self)

    def import_module(self, name: str) -> ModuleType:
        """Return a module of this code by its own name; raises ModuleNotFoundError."""
        if name.split(".")[0] not in self.top_level:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importlib.import_module(f"{self.package}.{name}")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find modules below the private package (PEP 451)."""
        if fullname == self.package:
            return importlib.util.spec_from_loader(fullname, self, is_package=True)
        if not fullname.startswith(f"{self.package}."):
            return None
        is_package = self.is_package(fullname)
        if self._file(fullname) is None and not is_package:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=is_package)

    def is_package(self, fullname: str) -> bool:
        """Return whether other modules are below the module: a package, or a folder without
        ``__init__.py``.
        """
        file = self._file(fullname)
        if file is not None:
            return file.endswith("__init__.py")
        folder = f"{self._stem(fullname)}/"
        return fullname == self.package or any(name.startswith(folder) for name in self.files)

    def get_source(self, fullname: str) -> str | None:
        """Return the module's text (PEP 302), which tracebacks use too."""
        file = self._file(fullname)
        return importlib.util.decode_source(self.files[file]) if file else ""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with an import statement that searches this code first."""
        spec = module.__spec__
        assert spec is not None
        file = self._file(spec.name)
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        if file:
            token = RUNNING.set(file)
            try:
                exec(compile(self.files[file], f"<{file}>", "exec", dont_inherit=True), module.__dict__)
            finally:
                RUNNING.reset(token)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name.split(".")[0] in self.top_level:
            module = builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist, 0)
            return module if fromlist else self.import_module(name.split(".")[0])
        return builtins.__import__(name, globals, locals, fromlist, level)

    def _file(self, fullname: str) -> str | None:
        stem = self._stem(fullname)
        return next((f for f in (f"{stem}/__init__.py", f"{stem}.py") if f in self.files), None)

    def _stem(self, fullname: str) -> str:
        return fullname.removeprefix(f"{self.package}.").replace(".", "/")
