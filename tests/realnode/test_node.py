"""The real node itself: what the other tests rest on, and that nothing of it outlives its end."""

import asyncio
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from scheduler.adapters.cgroup_tree import CgroupTree
from scheduler.adapters.kubelet.pod_resources import PodResources
from scheduler.domain.units import PodUid
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.metering import cgroups
from scheduler.metering.device_allocations import AllocatedDevice
from scheduler.metering.samples import PodRef
from tests.plugins.polling import eventually
from tests.plugins.realnode import GPUS, IMAGE, LABELS, leave_out_where_it_cannot_run
from tests.realnode.init import CGROUPS, PRIVATE
from tests.realnode.node import RealNode, pod_of, start
from tests.realnode.pods import answer_of, environment_of, in_phase
from tests.realnode.programs import cached_kubelet

SERVES = ("sh", "-c", "mkdir /tmp/www; echo here > /tmp/www/index.html; exec httpd -f -p 8888 -h /tmp/www")
OPENS_AND_WAITS = """
import sys, tempfile
from pathlib import Path
from tests.realnode.enclosure import Enclosure
opened = Enclosure.open(sys.argv[1], Path(tempfile.mkdtemp(dir=sys.argv[2])))
opened.spawn("sleep", "/bin/sleep", "3600")
print(opened.pid, flush=True)
sys.stdin.read()
"""


async def test_a_pod_on_it_is_a_real_process_with_the_gpu_that_kubelet_says_and_an_address(
    real_node: RealNode, node_api: ApiClient, node_namespace: str
) -> None:
    pods = f"/api/v1/namespaces/{node_namespace}/pods"
    await node_api.post(pods, pod_of("serves", real_node.name, IMAGE, SERVES))

    pod = await in_phase(node_api, node_namespace, "serves", "Running")

    uid = pod["metadata"]["uid"]
    assert pod["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
    assert await answer_of(f"http://{pod['status']['podIP']}:8888/") == "here\n"
    given = {environment_of(pid).get("NVIDIA_VISIBLE_DEVICES") for pid in real_node.pids(uid)} - {None}
    assert len(given) == 1
    assert given < set(GPUS)
    kubelet = PodResources(real_node.pod_resources)

    async def granted() -> tuple[AllocatedDevice, ...] | None:
        return kubelet.list()

    told = await eventually(granted, bool)
    assert told is not None
    assert (str(given.pop()), PodRef(node_namespace, "serves")) in {(each.device_id, each.pod) for each in told}
    tree = CgroupTree(Path("/sys/fs/cgroup"))
    tree.look()
    assert (tree.usage() or {}).get(PodUid(uid), 0) > 0, "its own control group, by a live kernel"
    for pid in real_node.pids(uid):
        seen = cgroups.pod_of(Path(f"/proc/{pid}/cgroup").read_text())
        assert seen is not None
        assert seen.pod_uid == uid


async def test_simulated_nodes_beside_it_go_on_being_simulated(
    real_node: RealNode, node_api: ApiClient, node_namespace: str
) -> None:
    pods = f"/api/v1/namespaces/{node_namespace}/pods"
    for name, node in (("simulated", "simulated-l4-0"), ("real", real_node.name)):
        await node_api.post(pods, pod_of(name, node, IMAGE, ("sh", "-c", "sleep 1; exit 0")))

    runtimes = {}
    for name in ("simulated", "real"):
        ended = await in_phase(node_api, node_namespace, name, "Succeeded")
        (container,) = ended["status"]["containerStatuses"]
        runtimes[name] = container["containerID"].partition("://")[0]

    assert runtimes == {"simulated": "simulated", "real": "containerd"}


async def test_a_node_that_is_stopped_leaves_nothing_while_another_beside_it_goes_on(
    real_node: RealNode, node_api: ApiClient, node_namespace: str
) -> None:
    kubelet = cached_kubelet()
    assert kubelet is not None
    second = await start(real_node.plane, kubelet, GPUS[:1], LABELS, (IMAGE,))
    pods = f"/api/v1/namespaces/{node_namespace}/pods"
    await node_api.post(pods, pod_of("lost", second.name, IMAGE, ("sleep", "3600")))
    lost = await in_phase(node_api, node_namespace, "lost", "Running")
    assert real_node.pids(lost["metadata"]["uid"]) == ()
    processes = second.pids(lost["metadata"]["uid"])
    assert len(processes) >= 2

    await asyncio.to_thread(second.stop)

    assert not second.enclosure.logs.exists()
    assert list(CGROUPS.glob(f"*/{second.enclosure.cgroup}")) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in (*processes, second.enclosure.pid))
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    assert {line.split()[1] for line in mounts} & set(PRIVATE) == set()
    nodes = {node["metadata"]["name"] for node in await node_api.items("/api/v1/nodes")}
    assert second.name not in nodes
    assert real_node.name in nodes
    await node_api.post(pods, pod_of("lives", real_node.name, IMAGE, ("true",)))
    await in_phase(node_api, node_namespace, "lives", "Succeeded")


async def test_what_was_started_ends_with_whoever_started_it_even_if_killed(tmp_path: Path) -> None:
    leave_out_where_it_cannot_run()
    cgroup = f"allot-node-{uuid.uuid4().hex[:8]}"
    opener = subprocess.Popen(
        [sys.executable, "-c", OPENS_AND_WAITS, cgroup, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert opener.stdout is not None
    first = int(opener.stdout.readline())
    assert Path(f"/proc/{first}").exists()
    assert list(CGROUPS.glob(f"*/{cgroup}")) != []

    opener.send_signal(signal.SIGKILL)
    opener.communicate()

    async def left() -> list[Path]:
        return [*CGROUPS.glob(f"*/{cgroup}"), *Path("/proc").glob(str(first))]

    assert await eventually(left, lambda found: found == []) == []
