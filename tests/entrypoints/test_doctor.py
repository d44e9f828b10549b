"""`allot doctor`'s checks of what other machines say: each that is not well says what to do."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from scheduler.entrypoints.devcluster.binaries import KUBERNETES_VERSION
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.doctor import Check, check_cluster, check_configuration, check_python, check_server
from tests.controlplane.planes import kubeconfig_of

READY = {"database": "", "policy": "", "cluster": ""}


def server_that_says(
    health: dict[str, object], ahead: timedelta = timedelta(), ready: dict[str, str] = READY
) -> dict[str, Check]:
    def answer(request: httpx.Request) -> httpx.Response:
        body = health if request.url.path == "/healthz" else ready
        return httpx.Response(
            200, json=body, headers={"date": format_datetime(datetime.now(UTC) + ahead, usegmt=True)}
        )

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://allot.test") as http:
        return {check.name: check for check in check_server(http)}


def test_a_clock_that_is_off_is_told_with_what_to_do() -> None:
    clock = server_that_says({"loops": []}, ahead=timedelta(hours=1))["clock"]
    assert (clock.is_ok, "ahead of ours" in clock.found, "NTP" in clock.remedy) == (False, True, True)
    assert server_that_says({"loops": []})["clock"].is_ok


def test_a_python_that_is_too_old_is_told() -> None:
    old = check_python((3, 10))
    assert (old.is_ok, "Python 3.10" in old.found, old.remedy) == (False, True, "install Python 3.11 or later")
    assert (check_python((3, 11)).is_ok, check_python().is_ok) == (True, True)


def test_a_loop_that_is_late_is_named() -> None:
    loops = [{"name": "cycle", "is_ok": False}, {"name": "grant", "is_ok": True}]
    found = server_that_says({"version": "1", "loops": loops})["server"]
    assert "loops that are late: cycle" in found.found


def test_a_service_without_a_policy_is_told_how_to_apply_one() -> None:
    found = server_that_says({"loops": []}, ready={**READY, "policy": "no policy has been applied yet"})["service"]
    assert (found.is_ok, found.found) == (False, "no policy has been applied yet")
    assert "allot policy apply" in found.remedy


def test_a_token_that_others_may_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{}")
    file.chmod(0o644)
    found = check_configuration(file)
    assert (found.is_ok, found.remedy.startswith(f"chmod 600 {file}")) == (False, True)
    file.chmod(0o600)
    assert check_configuration(file).is_ok


def test_a_kubeconfig_that_is_missing_is_told(tmp_path: Path) -> None:
    (found,) = check_cluster(str(tmp_path / "none"), None, ("allot",))
    assert (found.name, found.is_ok, "kubeconfig-missing" in found.found) == ("cluster", False, True)
    assert found.remedy


@pytest.mark.controlplane
def test_rights_that_are_missing_are_named_with_what_to_do(control_plane: ControlPlane) -> None:
    stranger = str(kubeconfig_of(control_plane, "stranger@example.com", "engineers"))
    found = {check.name: check for check in check_cluster(stranger, None, ("allot-doctor",))}
    assert found["cluster"].found == f"Kubernetes {KUBERNETES_VERSION}, as stranger@example.com"
    assert found["rights"].is_ok is False
    assert "jobs" in found["rights"].found
    assert "RBAC" in found["rights"].remedy
