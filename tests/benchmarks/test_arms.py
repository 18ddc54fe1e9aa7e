"""The table of arms is the one that was promised, and each row can be started as it stands."""

from __future__ import annotations

import re

import pytest

from benchmarks.arms import ARMS, Arm
from benchmarks.environments import PEERS, requirements
from benchmarks.server_process import NotStarted, running

PROMISED = [
    "plumbline",
    "plumbline-compiled",
    "flask-tutorial-sync",
    "flask-tutorial-gthread",
    "flask-tutorial-gevent",
    "fastapi-tutorial",
    "fastapi-async",
    "fastapi-batched",
    "fastapi-expert",
    "bentoml",
    "bentoml-batched",
    "ray-serve",
    "ray-serve-batched",
    "grpc",
    "mlflow",
    "litserve",
    "mlserver",
    "kserve",
    "floor-wsgi",
    "floor-asgi",
    "floor-fast-lane",
    "floor-flask",
    "floor-fastapi",
]
PLACEHOLDERS = {
    *("python", "bin", "root", "peer", "work", "model", "sample", "workers", "processes_beside"),
    *("port", "port_2", "port_3"),
}
SWITCHED_OFF = {
    "bentoml": "BENTOML_DO_NOT_TRACK",
    "bentoml-batched": "BENTOML_DO_NOT_TRACK",
    "ray-serve": "RAY_USAGE_STATS_ENABLED",
    "ray-serve-batched": "RAY_USAGE_STATS_ENABLED",
    "mlflow": "MLFLOW_DISABLE_TELEMETRY",
}

every_arm = pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)


def test_every_promised_arm_is_there_and_no_other() -> None:
    assert list(ARMS) == PROMISED


def test_only_protocols_without_a_place_for_probabilities_are_label_only() -> None:
    assert {name for name, arm in ARMS.items() if arm.label_only} == {"grpc", "mlflow"}
    assert {name for name, arm in ARMS.items() if arm.protocol == "grpc"} == {"grpc"}
    assert {name for name, arm in ARMS.items() if not arm.ranked} == {
        name for name in PROMISED if name.startswith("floor-")
    }


@every_arm
def test_a_command_uses_known_placeholders_and_the_port_that_it_is_given(arm: Arm) -> None:
    texts = [arm.argv, arm.prepare, *arm.env.values()]
    assert {name for text in texts for name in re.findall(r"{(\w+)}", text)} <= PLACEHOLDERS
    server = f"{arm.argv} {' '.join(arm.env.values())}"
    script = re.search(r"{peer}/(\S+\.py)", arm.argv)
    own = (PEERS / arm.peer / script[1]).read_text(encoding="utf-8") if script else ""
    assert "{port}" in server or "BENCH_PORT" in own
    assert arm.note and arm.processes > 0


@every_arm
def test_a_peers_server_file_exists_and_its_environment_is_pinned(arm: Arm) -> None:
    if not arm.peer:
        return
    module = re.search(r"\b(server\w*):", arm.argv)
    script = re.search(r"{peer}/(\S+\.py)", f"{arm.argv} {arm.prepare}")
    if "/benchmarks/floors" in arm.argv:
        return
    files = [f"{module[1]}.py"] if module else [script[1]] if script else ["settings.json"]
    assert all((PEERS / arm.peer / file).is_file() for file in files)
    lines = requirements(arm.peer).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[a-z0-9._\[\]-]+==[\w.+!-]+", pin) for pin in pins), pins


@pytest.mark.parametrize("peer", sorted({arm.peer for arm in ARMS.values() if arm.ranked and arm.peer}))
def test_every_peer_serves_with_the_library_that_trained_the_models(peer: str) -> None:
    project = (PEERS.parents[1] / "requirements.txt").read_text(encoding="utf-8")
    theirs = requirements(peer).read_text(encoding="utf-8").splitlines()
    for library in ("scikit-learn", "numpy", "scipy", "joblib"):
        pin = re.search(rf"^{library}==\S+$", project, re.MULTILINE)
        assert pin is not None and pin[0] in theirs


@pytest.mark.parametrize(("name", "variable"), SWITCHED_OFF.items())
def test_telemetry_is_switched_off(name: str, variable: str) -> None:
    assert ARMS[name].env[variable].lower() in {"0", "true"}


def test_no_peers_file_names_a_place_on_a_machine_or_a_registry() -> None:
    found = [
        (path.name, line)
        for path in PEERS.rglob("*")
        if path.suffix in {".py", ".txt", ".json", ".proto"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"https?://(?!127\.)|--(extra-)?index-url|/(home|root|tmp|work)/", line)
    ]
    assert found == []


def test_a_command_that_does_not_exist_is_not_started() -> None:
    arm = Arm(name="none", form="tutorial", note="none", argv="{bin}/no-such-program", processes=1)
    with pytest.raises(NotStarted, match="no-such-program"), running(arm, "lr", None):
        pass
