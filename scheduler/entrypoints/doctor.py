"""`allot doctor`'s checks: each a small function that looks at one thing and says what it found and what to do."""

import asyncio
import os
import random
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.nvml.calls import NvmlSignal
from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.adapters.nvml.sensors import NvmlSensors
from scheduler.adapters.policy_files import check_policy, read_bytes
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import Refusal
from scheduler.domain.wording import counted
from scheduler.entrypoints.about import installed_version

PYTHON_MIN = (3, 11)
SKEW_SECONDS_MAX = 5.0
"""Kubernetes stamps whole seconds, and HTTP dates do: less than this cannot be told from rounding and travel."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at. `is_ok` None: it does not concern this machine, or could not be looked at."""

    name: str
    is_ok: bool | None
    found: str
    remedy: str = ""


def check_python(runs_on: tuple[int, int] = sys.version_info[:2]) -> Check:
    found = f"Python {'.'.join(map(str, runs_on))}, allot {installed_version()}"
    wanted = ".".join(map(str, PYTHON_MIN))
    return Check("versions", runs_on >= PYTHON_MIN, found, f"install Python {wanted} or later")


def check_configuration(file: Path) -> Check:
    """The token lies in it: nobody else may read it."""
    name = "configuration"
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return Check(name, None, f"no {file}: the environment decides", "`allot login` writes it")
    is_private = mode & 0o077 == 0
    return Check(name, is_private, f"{file}, mode {mode:04o}", f"chmod 600 {file}: it holds your token")


def check_server(http: httpx.Client) -> tuple[Check, ...]:
    """Whether it answers, whether its loops are in time, and how far its clock is from ours."""
    began = time.time()
    try:
        answer = http.get("/healthz")
    except httpx.HTTPError as error:
        found = f"no answer from {http.base_url}: {str(error) or type(error).__name__}"
        return (Check("server", False, found, "start `allot serve`, or set ALLOT_SERVER"),)
    health = _object(answer)
    late = [loop["name"] for loop in health.get("loops", ()) if not loop["is_ok"]]
    server = Check(
        "server",
        answer.status_code == 200,
        f"{http.base_url}, allot {health.get('version', 'of unknown version')}"
        + (", simulated cluster and clock" if health.get("is_simulated") else "")
        + (f", loops that are late: {', '.join(late)}" if late else ""),
        "look at its log: a loop that is late says why",
    )
    return (server, _check_clock(answer, began), _check_ready(http))


def _check_clock(answer: httpx.Response, began: float) -> Check:
    date = answer.headers.get("date")
    if date is None:
        return Check("clock", None, "the server sends no date")
    skew = parsedate_to_datetime(date).timestamp() - (began + time.time()) / 2
    return Check(
        "clock",
        abs(skew) <= SKEW_SECONDS_MAX,
        f"the server's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours",
        "synchronise both with NTP: charges rest on time stamps",
    )


def _check_ready(http: httpx.Client) -> Check:
    ready = _object(http.get("/readyz"))
    problems = [ready[part] for part in ("database", "policy", "cluster") if ready.get(part)]
    return Check(
        "service",
        not problems,
        "; ".join(problems) or "database, policy and cluster are there",
        "apply a policy with `allot policy apply`, or look at the server's log",
    )


def check_token(http: httpx.Client) -> Check:
    """Who the server takes us for."""
    try:
        answer = http.get("/v1/me")
    except httpx.HTTPError:
        return Check("token", None, "there is no server to show it to")
    me = _object(answer)
    if answer.status_code != 200:
        return Check("token", False, str(me.get("detail", answer.status_code)), "`allot login`, or set ALLOT_TOKEN")
    return Check("token", True, f"{me['subject']}: {', '.join(me['roles'])}")


def check_database(url: str) -> Check:
    """That it opens and has every migration; nothing is created or migrated."""
    name = "database"
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).exists():
        return Check(name, None, f"no file {file} yet", "`allot serve` makes it at its first start")
    try:
        store = open_store(url, migrate=False)
        try:
            with store.reading() as books:
                people = len(books.people.all())
        finally:
            store.close()
    except Refusal as refusal:
        return Check(name, False, f"{refusal.message} [{refusal.code.value}]", refusal.remedy)
    return Check(name, True, f"{_without_password(url)}: every migration is there, {counted(people, 'engineer')}")


def check_policy_file(file: Path) -> Check:
    policy, problems = check_policy(read_bytes(file), file.name)
    if policy is None:
        found = f"{file}: {counted(len(problems), 'problem')}, the first {problems[0]}"
        return Check("policy", False, found, f"`allot policy check {file}` lists them all")
    return Check("policy", True, f"{file}: sha256 {policy.hash[:12]}")


def check_cluster(kubeconfig: str | None, context: str | None, namespaces: Sequence[str]) -> tuple[Check, ...]:
    """Reach, version and rights, as the account that `serve` would use."""
    try:
        cluster = KubernetesCluster(
            partial(load_credentials, kubeconfig, context),
            ClusterSettings(namespaces=tuple(namespaces)),
            now=SystemClock().now,
            jitter=random.SystemRandom().random,
        )
        found = asyncio.run(cluster.check())
    except Refusal as refusal:
        return (Check("cluster", False, f"{refusal.message} [{refusal.code.value}]", refusal.remedy),)
    missing = ", ".join(str(right) for right in found.missing_rights)
    return (
        Check("cluster", True, f"Kubernetes {found.version}, as {found.username}"),
        Check("rights", not missing, f"missing: {missing}" if missing else "all there", "apply manifests/: its RBAC"),
        Check(
            "authors",
            found.stamps_authors,
            "kubectl Jobs are stamped with who applied them"
            if found.stamps_authors
            else "kubectl Jobs have no author, or one that may be changed",
            "apply the admission policies of manifests/managing",
        ),
    )


def check_sensors(proc: Path = Path("/proc")) -> Check:
    """What NVML says on this machine; a machine without a driver is none of the agent's."""
    name = "sensors"
    sensors = NvmlSensors(ProcessTable(proc))
    try:
        reading = sensors.read(SystemClock().now())
    except NvmlSignal as error:
        return Check(name, False, str(error), "restart the agent; where that does not help, look at dmesg")
    finally:
        sensors.close()
    if not reading.has_driver:
        return Check(name, None, f"no NVIDIA driver here ({reading.driver_error})", "only GPU nodes need one")
    found = f"{counted(len(reading.devices), 'device')}, driver {reading.driver_version}"
    lost = reading.unidentified_devices
    return Check(name, lost == 0, found + (f", {lost} lost" if lost else ""), "look at `dmesg | grep -i xid`")


def everything(checks: Sequence[Callable[[], Check | tuple[Check, ...]]]) -> list[Check]:
    """Run the checks in their order."""
    done: list[Check] = []
    for check in checks:
        found = check()
        done += found if isinstance(found, tuple) else (found,)
    return done


def wants_cluster() -> bool:
    """Whether this environment points at a Kubernetes cluster."""
    return bool(os.environ.get("KUBECONFIG") or os.environ.get("KUBERNETES_SERVICE_HOST"))


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}://{host}" if at else url
