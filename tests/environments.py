"""Python environments for tests, with the libraries of this one and further ones."""

from __future__ import annotations

import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """``python`` : its interpreter; ``packages`` : the directory into which libraries are installed."""

    python: Path
    packages: Path

    @classmethod
    def make(cls, path: Path) -> Environment:
        """Create a virtual environment with all libraries of this one."""
        venv.EnvBuilder(symlinks=True).create(path)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(path), "platbase": str(path)}))
        own = sysconfig.get_path("purelib")
        (packages / "these.pth").write_text(f"import site; site.addsitedir({own!r})\n")
        return cls(path / "bin" / "python", packages)

    def install(self, name: str, version: str, source: str, requires: str = "") -> None:
        """Install a library of one module of the same name, in place of an installed version."""
        for old in self.packages.glob(f"{name}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        (self.packages / f"{name}.py").write_text(source)
        record = self.packages / f"{name}-{version}.dist-info"
        record.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (record / "RECORD").write_text(f"{name}.py,,\n{record.name}/METADATA,,\n{record.name}/RECORD,,\n")
