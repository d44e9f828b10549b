"""People at work on the real node: the service with its API, an agent beside kubelet, and the GPUs that it reads."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from scheduler.domain.people import Caller, Role
from scheduler.domain.units import GpuUuid, Instant
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from tests.e2e.company import RESTS
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.entrypoints.company import token_of
from tests.entrypoints.serving import served
from tests.nvml.agent_process import REPOSITORY, START
from tests.plugins.realnode import IMAGE
from tests.realnode.gpus import NodeGpus
from tests.realnode.machine import address
from tests.realnode.node import RealNode

Given = TypeVar("Given")

OPERATOR = Caller("olga", frozenset(Role))
SANDBOX_PORT = 8888
GREETING = "your sandbox"

TOLD = 43
"""The exit code of what was told to end by SIGTERM, and heard it."""

POLICY = f"""
version: 1
approvals: {{grants: one-person, policy: one-person, prices: one-person, access: one-person}}
period: month
images: ["registry.example/*"]
default_priority_class: standard
gpu_classes:
  H100: {{weight_per_mille: 1000, node_selector: {{nvidia.com/gpu.product: Real-H100}}}}
priority_classes:
  urgent: {{value: 1000, class_factor_per_mille: 1500, preemptible: false}}
  standard: {{value: 500}}
  off-peak: {{value: 100, class_factor_per_mille: 500}}
tiers:
  engineer: {{allowance_gpu_hours: 100, time_limit_max_hours: 8}}
pools:
  research: {{teams: [research], quotas: {{H100: {{nominal_gpus: 4}}}}, within_pool: LowerPriority}}
projects:
  aurora: {{team: research}}
sandbox:
  images: ["registry.example/*"]
  default_image: {IMAGE}
  default_command:
    - sh
    - -c
    - >-
      mkdir /tmp/www; echo {GREETING} > /tmp/www/index.html;
      echo $HOSTNAME >> $HOME/starts; cat $HOME/starts > /tmp/www/starts; httpd -p {SANDBOX_PORT} -h /tmp/www;
      trap "exit {TOLD}" TERM; while :; do sleep 1 & wait $!; done
  home_gib: 1
  port: {SANDBOX_PORT}
"""

PEOPLE = """
version: 1
engineers:
  - {subject: ada, team: research, tier: engineer}
  - {subject: bao, team: research, tier: engineer}
  - {subject: cai, team: research, tier: engineer}
"""


@dataclass(frozen=True)
class Company:
    """Everything at one place for a test. `server` is reached from pods, too."""

    node: RealNode
    running: Running
    gpus: NodeGpus
    witness: Witness
    server: str
    namespace: str

    @property
    def service(self) -> Service:
        return self.running.service

    def token(self, subject: str) -> str:
        return token_of(subject)

    def readings(self, uuid: GpuUuid) -> int:
        """How many windows of the GPU are kept by now."""
        with self.service.store.reading() as books:
            return len(books.samples.windows([uuid], Instant(0), Instant(2**62)))


@contextmanager
def working(node: RealNode, namespace: str, library: Path, folder: Path) -> Iterator[Company]:
    """The service on the node's control plane, whose namespace is managed, and the agent on the node."""
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "people.yaml").write_text(PEOPLE)
    service = build(Site(folder, node.plane.kubeconfig, namespace).settings())
    policy = service.world.require_policy()
    service.world.policy = replace(policy, idle_rules=(RESTS,))
    now = service.clock.now()
    for person in service.world.people.values():
        service.administration.issue_token(
            OPERATOR, person.subject, person.roles, hash_of(token_of(person.subject)), now=now
        )
    agent = frozenset({Role.AGENT})
    service.administration.issue_token(OPERATOR, f"node:{node.name}", agent, hash_of(token_of(node.name)), now=now)
    gpus = NodeGpus.described(library, folder / "gpus", node.gpus)
    host = address()
    assert host is not None
    with (
        ThreadPoolExecutor(2) as threads,
        witnessing(node, namespace) as witness,
        served(service, with_loops=True, host=host) as server,
        agent_on(node, gpus, server, folder),
    ):
        yield Company(node, Running(service, threads), gpus, witness, server, namespace)


@contextmanager
def witnessing(node: RealNode, namespace: str) -> Iterator[Witness]:
    """Follows the namespace's pods in a thread of its own, whatever the tests wait for meanwhile."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        # What was closed last says so to its socket in a turn of its own.
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, name="witness")
    thread.start()

    def there(work: Coroutine[None, None, Given]) -> Given:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    api = node.plane.client()
    witness = Witness(api, namespace)
    try:
        there(api.__aenter__())
        there(witness.begin())
        yield witness
    finally:
        there(witness.end())
        there(api.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def agent_on(node: RealNode, gpus: NodeGpus, server: str, folder: Path) -> Iterator[None]:
    """`allot agent` as the node's DaemonSet runs it: it sees the machine's processes, and asks kubelet on its socket."""
    token = folder / "agent-token"
    token.write_text(token_of(node.name) + "\n")
    options = {
        "--server": server,
        "--node": node.name,
        "--token-file": token,
        "--pod-resources": node.pod_resources,
        "--spool": folder / "spool" / "spool.db",
        "--sample-ms": 1_000,
        "--window-ms": 3_000,
        "--allocations-ms": 1_000,
        "--inventory-ms": 5_000,
        "--retry-ms-max": 1_000,
    }
    told = [str(word) for option in options.items() for word in option]
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *told], env=dict(gpus.fake.environment()), cwd=REPOSITORY, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()
