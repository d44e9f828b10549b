"""Starting a control plane, knowing one that runs, and ending it."""

import asyncio
import datetime as dt
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import yaml

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.entrypoints.devcluster import processes, programs, simulated
from scheduler.entrypoints.devcluster.binaries import Binaries
from scheduler.entrypoints.devcluster.certificates import Authority
from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused
from scheduler.entrypoints.devcluster.nodes import GpuNode, create_nodes
from scheduler.entrypoints.devcluster.processes import Process

ADMIN = "allot-dev-admin"
_USERS = {
    ADMIN: ("system:masters",),
    "system:kube-controller-manager": (),
    "system:kube-scheduler": (),
    programs.KUBELETS_USER: (),
}
_NOBODY_MARKS = {"MutableSchedulingDirectivesForSuspendedJobs": False}
"""With this gate 1.36.1 places no Job before a controller has marked it suspended, which 1.36.2 mended
(kubernetes/kubernetes#139281). Without it, and without controllers, one that never started may be placed, as ever."""
STATE = "cluster.json"
"""The file in a cluster's folder that says what runs."""
_POLL_SECONDS = 0.03
_COLLECTIONS = {
    "ConfigMap": "/api/v1/namespaces/kube-system/configmaps",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
}


@dataclass(frozen=True)
class Options:
    """What to start. Without `runs_workloads` etcd and the apiserver run alone: nobody acts on a Job."""

    nodes: tuple[GpuNode, ...] = ()
    runs_workloads: bool = True
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    apiserver_arguments: tuple[str, ...] = ()
    deadline_seconds: float = 60.0


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that runs. Everything about it, its logs and keys included, is in `directory`."""

    directory: Path
    server: str
    kubelet_port: int
    kubectl: Path
    processes: tuple[Process, ...]
    owner: Process | None = None  # ends with this process; None: with `stop` alone

    @property
    def kubeconfig(self) -> Path:
        """Of a cluster administrator, with everything embedded."""
        return self.directory / f"{ADMIN}.kubeconfig"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def is_running(self) -> bool:
        return all(processes.is_alive(process) for process in self.processes)

    def client(self, connections: int = 32) -> ApiClient:
        """As administrator; use as `async with`."""
        return ApiClient.from_kubeconfig(self.kubeconfig, connections)

    def stop(self) -> None:
        """Ends every process; its folder stays. Ending one that is gone already is harmless."""
        processes.kill(self.processes)

    def save(self) -> None:
        state = orjson.dumps(
            {
                "server": self.server,
                "kubelet_port": self.kubelet_port,
                "kubectl": str(self.kubectl),
                "processes": [_process_json(process) for process in self.processes],
                "owner": _process_json(self.owner) if self.owner else None,
            },
            option=orjson.OPT_INDENT_2,
        )
        # Renamed into place: a reader sees the old state or the new one.
        scratch = self.directory / f"{STATE}.new"
        scratch.write_bytes(state)
        scratch.replace(self.directory / STATE)


def load(directory: Path) -> ControlPlane | None:
    """The control plane that was started in this folder, whether or not it still runs."""
    try:
        state = orjson.loads((directory / STATE).read_bytes())
    except FileNotFoundError:
        return None
    return ControlPlane(
        directory=directory,
        server=state["server"],
        kubelet_port=state["kubelet_port"],
        kubectl=Path(state["kubectl"]),
        processes=tuple(Process(**entry) for entry in state["processes"]),
        owner=Process(**state["owner"]) if state["owner"] else None,
    )


async def start(binaries: Binaries, directory: Path, options: Options, owner: Process | None = None) -> ControlPlane:
    """Starts everything in `directory`, which must not exist, and returns when it is ready to be used."""
    if sys.platform != "linux":
        raise Unavailable(
            f"the simulated control plane runs on Linux, and this is {sys.platform}",
            code=RefusalCode.DEV_CLUSTER_UNAVAILABLE,
            remedy="run it in a Linux machine or container, or set KUBECONFIG to one that runs",
        )
    starting = _Starting(_prepare(directory), binaries, options, owner)
    try:
        async with asyncio.timeout(options.deadline_seconds):
            await starting.run()
    except BaseException as error:
        processes.kill(starting.started)
        if isinstance(error, TimeoutError):
            last = starting.started[-1].name
            raise starting.failure(f"not ready after {options.deadline_seconds:.0f} s", last) from error
        raise
    return starting.plane()


class _Starting:
    """One start in progress: what runs so far, and what is waited for."""

    def __init__(self, site: programs.Site, binaries: Binaries, options: Options, owner: Process | None) -> None:
        self.site = site
        self.binaries = binaries
        self.options = options
        self.owner = owner
        self.started: list[Process] = []

    async def run(self) -> None:
        self._spawn("etcd", programs.etcd(self.binaries, self.site))
        await self._wait(self._etcd_listens)
        gates = {**({} if self.options.runs_workloads else _NOBODY_MARKS), **self.options.feature_gates}
        self._spawn(
            "kube-apiserver",
            programs.apiserver(self.binaries, self.site, gates, self.options.apiserver_arguments),
        )
        async with ApiClient.from_kubeconfig(self.site.kubeconfig(ADMIN)) as api:
            await self._wait(partial(_answers, api, "/readyz"))
            await self._wait(partial(_exists, api, "/api/v1/namespaces/kube-system"))
            await asyncio.gather(
                *(
                    api.post(_COLLECTIONS[document["kind"]], document)
                    for document in yaml.safe_load_all(simulated.cluster_objects())
                )
            )
            if self.options.runs_workloads:
                await self._start_controllers(api)
            else:
                await self._create_nodes(api)

    async def _start_controllers(self, api: ApiClient) -> None:
        gates = self.options.feature_gates
        self._spawn("kube-controller-manager", programs.controller_manager(self.binaries, self.site, gates))
        self._spawn("kube-scheduler", programs.scheduler(self.binaries, self.site, gates))
        self._spawn("kubelets", programs.kubelets(self.binaries, self.site))
        await self._create_nodes(api)
        ports = self.site.ports
        for port in (ports.controller_manager, ports.scheduler, ports.kubelets):
            async with api.beside(f"https://{programs.LOOPBACK}:{port}") as program:
                await self._wait(partial(_answers, program, "/healthz"))
        # The Job controller makes no pod before the namespace has its service account.
        await self._wait(partial(_exists, api, "/api/v1/namespaces/default/serviceaccounts/default"))

    async def _create_nodes(self, api: ApiClient) -> None:
        now = dt.datetime.now(dt.UTC)
        await create_nodes(api, self.options.nodes, self.site.ports.kubelets, now)

    def plane(self) -> ControlPlane:
        return ControlPlane(
            directory=self.site.directory,
            server=self.site.server,
            kubelet_port=self.site.ports.kubelets,
            kubectl=self.binaries.kubectl,
            processes=tuple(self.started),
            owner=self.owner,
        )

    def failure(self, message: str, program: str) -> Unavailable:
        log = (self.site.logs / f"{program}.log").read_text(errors="replace").strip().splitlines()
        return Unavailable(
            f"{message}; {program} said last: {log[-1][-500:] if log else 'nothing'}",
            code=RefusalCode.DEV_CLUSTER_UNAVAILABLE,
            where=str(self.site.logs),
            remedy="the logs there say why",
        )

    def _spawn(self, name: str, command: list[str]) -> None:
        self.started.append(processes.spawn(name, command, self.site.logs / f"{name}.log"))
        # At once, so that whoever finds the folder after a kill can end what had been started.
        self.plane().save()

    async def _wait(self, is_true: Callable[[], Awaitable[bool]]) -> None:
        """Looks until it is so; `start` bounds all the waiting together."""
        while not await is_true():
            for process in self.started:
                if not processes.is_alive(process):
                    raise self.failure("it ended while it started", process.name)
            await asyncio.sleep(_POLL_SECONDS)

    async def _etcd_listens(self) -> bool:
        return self.site.etcd_socket.is_socket()


def _prepare(directory: Path) -> programs.Site:
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True)
    authority = Authority.create(directory / "pki")
    site = programs.Site(
        directory=directory,
        ports=programs.Ports(*processes.free_ports(5)),
        authority=authority,
        serving=authority.issue(
            "serving", hosts=(programs.LOOPBACK, "localhost", "kubernetes.default.svc", "10.96.0.1")
        ),
        service_accounts=authority.service_account_key(),
    )
    site.logs.mkdir()
    for user, groups in _USERS.items():
        authority.write_kubeconfig(site.kubeconfig(user), site.server, authority.issue(user, groups=groups), user)
    return site


async def _answers(api: ApiClient, path: str) -> bool:
    try:
        await api.text(path)
    except (aiohttp.ClientError, ssl.SSLError, ApiRefused, TimeoutError):
        return False
    return True


async def _exists(api: ApiClient, path: str) -> bool:
    try:
        await api.get(path)
    except ApiRefused as refused:
        if refused.status == 404:
            return False
        raise
    return True


def _process_json(process: Process) -> dict[str, str | int]:
    return {"name": process.name, "pid": process.pid, "started": process.started}


def this_process() -> Process:
    """Ourselves, as the owner of a cluster that is to end with us."""
    return Process("owner", os.getpid(), processes.start_time(os.getpid()) or "")
