"""How does the Dockerfile behave where no container engine runs?

Carries out the instructions of a Dockerfile in scratch directories: one root per stage, entered by chroot inside a
mount namespace of its own, the way an engine would. The base image is played by this machine: its /usr and /etc
read-only, and the running interpreter at /usr/local. So this shows what the instructions do, not what the base image
holds, and the image itself is not built. Needs root and the right to mount.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What the base image's ENV and its ldconfig give.
BASE_ENV = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
    "LD_LIBRARY_PATH": "/usr/local/lib",
}
# An engine hands proxies through to RUN; pip's own settings take the place of a base image's.
PASSED_TO_RUN = re.compile(r"PIP_.*|(https?|no|all)_proxy", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    word: str
    flags: dict[str, str]
    rest: str

    def words(self) -> list[str]:
        return json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)

    def command(self) -> list[str]:
        """The exec form as it is, the shell form through sh."""
        return json.loads(self.rest) if self.rest.startswith("[") else ["sh", "-c", self.rest]


@dataclass
class Stage:
    root: Path
    env: dict[str, str] = field(default_factory=BASE_ENV.copy)
    workdir: str = "/"
    user: str = "0:0"
    cmd: Sequence[str] = ()
    healthcheck: Sequence[str] = ()
    healthcheck_flags: Mapping[str, str] = field(default_factory=dict)

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        read_only: bool = True,
        **popen: object,
    ) -> subprocess.Popen[str]:
        """Like `docker run`: the process itself, as the stage's user, with its root read-only but for /tmp and /dev/shm."""
        for target in (mounts or {}).values():
            (self.root / target.lstrip("/")).mkdir(exist_ok=True)
        script = "set -e; " + "; ".join(
            [*self._mount_base(), *self._mount_run(mounts or {}, read_only=read_only), self._enter()]
        )
        # Mounts of the namespace are not seen outside, and end with the process.
        process: subprocess.Popen[str] = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command],
            env={**self.env, **(env or {})},
            text=True,
            **popen,  # type: ignore[call-overload]
        )
        return process

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)  # type: ignore[arg-type]
        output, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(command, process.returncode, output)

    def _mount_base(self) -> list[str]:
        root = self.root
        lines = [f"mount --bind {root} {root}"]
        for name in ("usr", "etc", "bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_dir() and not Path("/", name).is_symlink():
                lines.append(f"mount -o bind,ro /{name} {root}/{name}")
        if sys.base_prefix == "/usr":
            lines += [
                f"mount -t tmpfs tmpfs {root}/usr/local",
                f"mkdir -p {root}/usr/local/bin",
                f"ln -s {os.path.realpath(sys.executable)} {root}/usr/local/bin/python",
            ]
        else:
            lines.append(f"mount -o bind,ro {sys.base_prefix} {root}/usr/local")
        return [*lines, f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]

    def _mount_run(self, mounts: Mapping[Path, str], *, read_only: bool) -> list[str]:
        root = self.root
        lines = [f"mount --bind {source} {root}{target}" for source, target in mounts.items()]
        if read_only:
            lines += [
                f"mount -o remount,bind,ro {root}",
                f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",
                f"mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm",
            ]
        return lines

    def _enter(self) -> str:
        inner = f'cd {self.workdir} && exec "$@"'
        return f'exec chroot --userspec={self.user} --groups= {self.root} sh -c {shlex.quote(inner)} sh "$@"'


def parse(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    found = []
    for line in logical:
        word, _, rest = line.strip().partition(" ")
        flags = {}
        while match := re.match(r"\s*--([a-z-]+)=(\S+)\s*", rest):
            flags[match[1]] = match[2]
            rest = rest[match.end() :]
        found.append(Instruction(word.upper(), flags, rest.strip()))
    return found


def build(context: Path, scratch: Path) -> Stage:
    """Carry out every instruction of the context's Dockerfile; the last stage is the image."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage: Stage | None = None
    for step in parse((context / "Dockerfile").read_text(encoding="utf-8")):
        if step.word == "ARG":
            name, _, default = expand(step.rest, arguments).partition("=")
            arguments[name] = default
        elif step.word == "FROM":
            words = expand(step.rest, arguments).split()
            if not words[0].startswith("python:"):
                raise ValueError(f"FROM {words[0]}: only a python image can be played by this machine")
            stage = Stage(empty_root(scratch / str(len(stages))))
            stages[words[2] if len(words) == 3 else str(len(stages))] = stage
        elif stage is None:
            raise ValueError(f"{step.word} before FROM")
        else:
            carry_out(step, stage, stages, context)
    if stage is None:
        raise ValueError("no FROM")
    return stage


def carry_out(step: Instruction, stage: Stage, stages: Mapping[str, Stage], context: Path) -> None:
    if step.word == "ENV":
        before = dict(stage.env)
        for pair in step.words():
            name, _, value = pair.partition("=")
            stage.env[name] = expand(value, before)
    elif step.word == "WORKDIR":
        stage.workdir = expand(step.rest, stage.env)
        (stage.root / stage.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step.word == "COPY":
        source = stages[step.flags["from"]].root if "from" in step.flags else context
        copy(step, source, stage, ignored=() if "from" in step.flags else read_ignored(context))
    elif step.word == "RUN":
        passed = {name: value for name, value in os.environ.items() if PASSED_TO_RUN.fullmatch(name)}
        done = stage.run(step.command(), env=passed, read_only=False)
        if done.returncode:
            raise RuntimeError(f"RUN {step.rest}\n{done.stdout}")
    elif step.word == "USER":
        stage.user = step.rest
    elif step.word == "HEALTHCHECK":
        stage.healthcheck = Instruction("CMD", {}, step.rest.removeprefix("CMD").strip()).command()
        stage.healthcheck_flags = step.flags
    elif step.word == "CMD":
        stage.cmd = step.command()
    elif step.word not in ("EXPOSE", "LABEL"):
        raise ValueError(f"{step.word}: not known here")


def expand(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: values.get(m[1] or m[2], ""), text)


def empty_root(root: Path) -> Path:
    for name in ("usr", "etc", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        host = Path("/", name)
        if host.is_symlink():
            (root / name).symlink_to(os.readlink(host))
        elif host.is_dir():
            (root / name).mkdir()
    root.chmod(0o755)
    return root


def read_ignored(context: Path) -> list[str]:
    path = context / ".dockerignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def is_ignored(path: str, patterns: Sequence[str]) -> bool:
    """The last pattern that matches the path, or a directory above it, decides."""
    parts = path.split("/")
    names = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ignored = False
    for pattern in patterns:
        plain = pattern.removeprefix("!").strip("/")
        depth = plain.count("/")
        if plain.startswith("**/"):
            hit = any(fnmatch.fnmatch(part, plain[3:]) for part in parts)
        else:
            hit = any(name.count("/") == depth and fnmatch.fnmatch(name, plain) for name in names)
        if hit:
            ignored = not pattern.startswith("!")
    return ignored


def copy(step: Instruction, source_root: Path, stage: Stage, ignored: Sequence[str]) -> None:
    *sources, target = step.words()
    destination = stage.root / os.path.join(stage.workdir, target).lstrip("/")
    for name in sources:
        source = source_root / name.strip("/")
        if source.is_dir():
            leave_out = lambda folder, names: {  # noqa: E731
                n for n in names if is_ignored(str((Path(folder) / n).relative_to(source_root)), ignored)
            }
            # Links instead of copies between stages: half the disk, and nothing here edits a file in place.
            copy_file = os.link if "from" in step.flags else shutil.copy2
            shutil.copytree(
                source,
                destination,
                symlinks=True,
                dirs_exist_ok=True,
                ignore=leave_out,
                copy_function=copy_file,
            )
        else:
            if is_ignored(name, ignored):
                raise FileNotFoundError(f"COPY {name}: .dockerignore keeps it out")
            into = destination / source.name if target.endswith("/") or len(sources) > 1 else destination
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, into)
