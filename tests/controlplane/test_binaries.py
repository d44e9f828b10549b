"""Finding or building the programs, with a stand-in for Go: what is said where something is missing."""

import stat
import threading
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.binaries import Binaries
from scheduler.entrypoints.devcluster.gobuild import ProgramsMissing

_BUILDS = """#!/bin/sh
# Called as: go build ARGUMENTS -o DIRECTORY/ tool
echo built >> "$COUNT"
while [ "$1" != -o ]; do shift; done
for program in server kube-apiserver kube-controller-manager kube-scheduler kubectl kubelets; do
  echo "#!/bin/sh" > "$2$program" && chmod +x "$2$program"
done
"""
_FAILS = """#!/bin/sh
echo "go: module lookup disabled by GOPROXY=off" >&2
exit 1
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.com/controlplane\n")
    (folder / "go.sum").write_text("")
    return folder


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "count"
    monkeypatch.setenv("COUNT", str(path))
    return path


def _install_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    go = folder / "go"
    go.write_text(script)
    go.chmod(go.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_programs_are_built_once_and_then_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path, count: Path
) -> None:
    _install_go(tmp_path, monkeypatch, _BUILDS)
    built = binaries.provide(module, tmp_path / "cache")
    assert built.are_complete
    assert binaries.provide(module, tmp_path / "cache") == built
    assert count.read_text().split() == ["built"]


def test_another_go_sum_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path, count: Path
) -> None:
    _install_go(tmp_path, monkeypatch, _BUILDS)
    before = binaries.provide(module, tmp_path / "cache")
    (module / "go.sum").write_text("example.com/dependency v1.0.1 h1:x=\n")
    assert binaries.provide(module, tmp_path / "cache") != before
    assert before.are_complete


def test_another_source_of_ours_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path, count: Path
) -> None:
    _install_go(tmp_path, monkeypatch, _BUILDS)
    ours = module / "kubelets" / "main.go"
    ours.parent.mkdir()
    ours.write_text("package main\n")
    before = binaries.provide(module, tmp_path / "cache")
    ours.write_text("package main // another\n")
    assert binaries.provide(module, tmp_path / "cache") != before
    assert before.are_complete


def test_two_that_need_them_at_once_build_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path, count: Path
) -> None:
    _install_go(tmp_path, monkeypatch, _BUILDS)
    provided: list[Binaries] = []
    threads = [
        threading.Thread(target=lambda: provided.append(binaries.provide(module, tmp_path / "cache")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(provided)) == 1
    assert count.read_text().split() == ["built"]


def test_where_go_is_missing_the_refusal_says_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ProgramsMissing) as refused:
        binaries.provide(module, tmp_path / "cache")
    assert refused.value.code == "dev-cluster-unavailable"
    assert "install Go 1.26" in refused.value.remedy


def test_a_build_that_fails_says_what_go_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path
) -> None:
    _install_go(tmp_path, monkeypatch, _FAILS)
    with pytest.raises(ProgramsMissing, match="module lookup disabled by GOPROXY=off"):
        binaries.provide(module, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["build.lock"]


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ada")
    assert binaries.cache_directory() == Path("/var/cache/ada/allot/controlplane")
