"""A real node of a control plane, from its first process to its last."""

import asyncio
import contextlib
import subprocess
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from scheduler.domain.units import GpuUuid, NodeName
from scheduler.entrypoints.devcluster import processes
from scheduler.entrypoints.devcluster.certificates import Authority
from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.processes import Process
from tests.controlplane.planes import kubeconfig_of
from tests.realnode import configuration, device_plugin, machine
from tests.realnode.configuration import CONTAINERD_SOCKET, KUBELET_ROOT, Network
from tests.realnode.device_plugin import DevicePlugin
from tests.realnode.enclosure import Enclosure, NodeUnavailable
from tests.realnode.images import PAUSE, write_archive
from tests.realnode.init import CGROUPS

GPU = "nvidia.com/gpu"
START_LIMIT_SECONDS = 240.0
"""Twenty times what it takes on a quiet machine."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class RealNode:
    """A kubelet that is ready, with the GPUs that its device plugin offers."""

    name: NodeName
    gpus: tuple[GpuUuid, ...]
    enclosure: Enclosure
    plane: ControlPlane
    plugin: DevicePlugin

    @property
    def pod_resources(self) -> Path:
        """Kubelet's socket, as an agent beside the node finds it."""
        return self.enclosure.path(f"{KUBELET_ROOT}/pod-resources/kubelet.sock")

    def import_image(self, name: str, command: Sequence[str] = ("/bin/sh",)) -> None:
        """An image of the tests' own under that name, as if it had been pulled."""
        archive = self.enclosure.logs / "image.tar"
        write_archive(archive, name, command)
        self.import_archive(archive)

    def import_archive(self, archive: Path) -> None:
        """The images of an archive as `docker save` writes it, under the names that they have in it."""
        self.enclosure.run(
            *("ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io"),
            *("images", "import", "--snapshotter=native", str(archive)),
        )

    def stop(self) -> None:
        """Nothing of it is left afterwards, in the machine or in the control plane."""
        self.plugin.close()
        self.enclosure.close()
        if self.plane.is_running:
            asyncio.run(_forget(self.plane, self.name))

    def pids(self, pod_uid: str) -> tuple[int, ...]:
        """The processes of a pod as the kernel has them in its cgroups, with the machine's numbers for them.

        The one that holds the pod's namespaces open is among them.
        """
        found: set[int] = set()
        for procs in CGROUPS.glob(f"*/{self.enclosure.cgroup}/**/pod{pod_uid}/**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in procs.read_text().split())
        return tuple(sorted(found))


async def start(
    plane: ControlPlane, kubelet: Path, gpus: Sequence[GpuUuid], labels: Mapping[str, str], images: Sequence[str]
) -> RealNode:
    """A node of the control plane that offers these GPUs and has these images; it ends with `stop`, or with us."""
    reason = machine.missing()
    if reason is not None:
        raise NodeUnavailable(reason)
    identity = uuid.uuid4().hex[:8]
    # Not below pytest's folders, whose paths are longer than a socket's may be.
    enclosure = Enclosure.open(f"allot-node-{identity}", Path(tempfile.mkdtemp(prefix="allot-node-")))
    plugin = DevicePlugin(enclosure.path(device_plugin.FOLDER), gpus)
    node = RealNode(NodeName(f"real-{identity}"), tuple(gpus), enclosure, plane, plugin)
    try:
        await _Starting(node, kubelet).run(labels, images)
    except BaseException as error:
        plugin.close()
        enclosure.close()
        if isinstance(error, (grpc.RpcError, OSError, subprocess.TimeoutExpired)):
            raise NodeUnavailable(f"{type(error).__name__}: {error}") from error
        raise
    return node


class _Starting:
    """One start in progress: what runs so far, and what is waited for."""

    def __init__(self, node: RealNode, kubelet: Path) -> None:
        self._node = node
        self._enclosure = node.enclosure
        self._kubelet = kubelet
        self._started: list[Process] = []

    async def run(self, labels: Mapping[str, str], images: Sequence[str]) -> None:
        folder = self._enclosure.logs
        address = machine.address()
        assert address is not None, "looked for before"
        network = Network(address, processes.free_ports(1)[0], machine.free_subnet())
        configuration.write_network(folder, network)
        self._spawn("containerd", "containerd", f"--config={configuration.write_containerd(folder)}")
        await self._until(self._has(CONTAINERD_SOCKET))
        self._node.import_image(PAUSE, ("/bin/sleep", "2147483647"))
        for image in images:
            self._node.import_image(image)
        self._spawn("kubelet", str(self._kubelet), *self._arguments(network, labels))
        await self._until(self._has(f"{device_plugin.FOLDER}/kubelet.sock"))
        await asyncio.to_thread(self._node.plugin.register, START_LIMIT_SECONDS)
        async with self._node.plane.client() as api:
            await self._until(self._is_ready(api))
            await self._try(api, images[0])

    async def _try(self, api: ApiClient, image: str) -> None:
        """A pod of one GPU that runs to its end: only then can the machine be said to run a node."""
        name = f"probe-{self._node.name}"
        await api.post("/api/v1/namespaces/default/pods", pod_of(name, self._node.name, image, ("true",)))

        async def has_run() -> bool:
            pod = await api.get(f"/api/v1/namespaces/default/pods/{name}")
            return bool(pod["status"]["phase"] == "Succeeded")

        try:
            await self._until(has_run)
        except NodeUnavailable as unavailable:
            events = await api.items("/api/v1/namespaces/default/events", fieldSelector=f"involvedObject.name={name}")
            said = events[-1]["message"] if events else "nothing"
            raise NodeUnavailable(f"a pod does not run: {said}") from unavailable
        await api.delete(f"/api/v1/namespaces/default/pods/{name}", gracePeriodSeconds="0")

    def _arguments(self, network: Network, labels: Mapping[str, str]) -> list[str]:
        plane, name = self._node.plane, self._node.name
        authority = Authority(plane.directory / "pki")
        serving = authority.issue(f"kubelet-{name}", hosts=(network.address, name))
        kubeconfig = kubeconfig_of(plane, f"system:node:{name}", "system:nodes")
        cgroup = self._enclosure.cgroup
        settings = configuration.write_kubelet(self._enclosure.logs, network, authority.certificate, serving, cgroup)
        return configuration.kubelet_arguments(name, network, kubeconfig, settings, labels)

    def _spawn(self, name: str, *command: str) -> None:
        self._started.append(self._enclosure.spawn(name, *command))

    async def _until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not await is_so():
            for process in self._started:
                if not processes.is_alive(process):
                    raise NodeUnavailable(f"{process.name} ended: {self._enclosure.last_words(process.name)}")
            if time.monotonic() > deadline:
                last = self._started[-1].name
                raise NodeUnavailable(
                    f"not ready within {START_LIMIT_SECONDS:.0f} s; {last} said last: {self._enclosure.last_words(last)}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    def _has(self, inside: str) -> Callable[[], Awaitable[bool]]:
        async def has() -> bool:
            return self._enclosure.path(inside).exists()

        return has

    def _is_ready(self, api: ApiClient) -> Callable[[], Awaitable[bool]]:
        """Kubelet says so, and the GPUs are counted; the taint of a node that is not ready is gone."""

        async def is_ready() -> bool:
            try:
                found = await api.get(f"/api/v1/nodes/{self._node.name}")
            except ApiRefused as refused:
                if refused.status == 404:
                    return False
                raise
            return _is_ready(found, len(self._node.gpus))

        return is_ready


def pod_of(name: str, node: str, image: str, command: Sequence[str]) -> Json:
    """A pod of one container and one GPU that is to run on that node."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "resources": {"limits": {GPU: "1"}},
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"key": GPU, "operator": "Exists"}],
            "containers": [container],
        },
    }


def _is_ready(node: Json, gpus: int) -> bool:
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    taints = {each["key"] for each in node["spec"].get("taints", ())}
    offered = node["status"].get("allocatable", {}).get(GPU)
    return conditions.get("Ready") == "True" and offered == str(gpus) and taints == {GPU}


async def _forget(plane: ControlPlane, name: NodeName) -> None:
    """A node that will never come back, with what is left of its pods."""
    async with plane.client() as api:
        for pod in await api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={name}"):
            metadata = pod["metadata"]
            with contextlib.suppress(ApiRefused):
                await api.delete(
                    f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", gracePeriodSeconds="0"
                )
        with contextlib.suppress(ApiRefused):
            await api.delete(f"/api/v1/nodes/{name}")
