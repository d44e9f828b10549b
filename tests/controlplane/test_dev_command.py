"""`allot dev cluster` as a person uses it."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from scheduler.domain.errors import InvalidInput, NotFound
from scheduler.entrypoints.cli.dev import app
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.cluster import ControlPlane


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return CliRunner()


@pytest.mark.controlplane
def test_a_cluster_is_started_shown_and_stopped(control_plane: ControlPlane, runner: CliRunner) -> None:
    built = control_plane.kubectl.parent
    cache = binaries.cache_directory()
    cache.mkdir(parents=True)
    (cache / built.name).symlink_to(built)
    try:
        started = runner.invoke(app, ["cluster", "start"], catch_exceptions=False)
        exported = f"export KUBECONFIG={cache}/clusters/default/allot-dev-admin.kubeconfig\n"
        assert started.stdout == exported
        assert "64 GPUs are simulated" in started.stderr

        again = runner.invoke(app, ["cluster", "start"], catch_exceptions=False)
        assert (again.stdout, "runs already" in again.stderr) == (exported, True)
        assert runner.invoke(app, ["cluster", "kubeconfig"]).stdout == exported
        named = orjson.loads(runner.invoke(app, ["cluster", "kubeconfig", "--json"]).stdout)
        assert exported == f"export KUBECONFIG={named['kubeconfig']}\n"

        status = runner.invoke(app, ["cluster", "status", "--json"])
        seen = orjson.loads(status.stdout)
        assert (status.exit_code, seen["running"], seen["simulated"]) == (0, True, True)
        assert seen["processes"] == dict.fromkeys(
            ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelets"), True
        )
    finally:
        stopped = runner.invoke(app, ["cluster", "stop"], catch_exceptions=False)
    assert "is gone" in stopped.stderr
    assert not (cache / "clusters" / "default").exists()


def test_the_status_of_no_cluster_says_how_to_start_one(runner: CliRunner) -> None:
    outcome = runner.invoke(app, ["cluster", "status"])
    assert outcome.exit_code == ExitCode.REFUSED
    assert "`allot dev cluster start` starts one" in outcome.stdout


def test_stopping_no_cluster_is_harmless(runner: CliRunner) -> None:
    outcome = runner.invoke(app, ["cluster", "stop"])
    assert (outcome.exit_code, outcome.stderr) == (0, "No cluster 'default' was there.\n")
    answer = orjson.loads(runner.invoke(app, ["cluster", "stop", "--json"]).stdout)
    assert answer == {"name": "default", "stopped": False}


def test_the_kubeconfig_of_no_cluster_is_refused(runner: CliRunner) -> None:
    with pytest.raises(NotFound, match="no cluster 'default' runs; `allot dev cluster start` starts one"):
        runner.invoke(app, ["cluster", "kubeconfig"], catch_exceptions=False)


def test_a_name_that_leaves_the_folder_is_refused(runner: CliRunner) -> None:
    with pytest.raises(InvalidInput, match="letters, digits and underscores"):
        runner.invoke(app, ["cluster", "stop", "--name", "../.."], catch_exceptions=False)
