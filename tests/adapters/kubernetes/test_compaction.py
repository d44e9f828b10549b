"""What was watched is forgotten meanwhile: etcd compacted, the apiserver another, connections cut again and again."""

import asyncio
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.domain.actions import CreateJob
from scheduler.domain.observations import ObservedJob
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import default_nodes
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.adapters.kubernetes.wire import wire_to
from tests.contracts.cluster_contract import ClusterRig
from tests.controlplane.outage import apiserver_again, compact_etcd, kill_apiserver
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

CUTS = 8
POOLED = 16
"""Connections that are kept for the next request, by the settings of these tests: they are no leak."""
JOBS = "/apis/batch/v1/namespaces/team/jobs"


async def sockets() -> int:
    links = (Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if link.is_symlink())


async def test_a_watch_whose_past_was_compacted_away_lists_anew_misses_nothing_and_leaks_no_socket(
    new_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    plane = await asyncio.to_thread(new_control_plane, Options(default_nodes()))
    async with plane.client() as api, wire_to(plane, tmp_path) as (wire, kubeconfig):
        await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
        cluster = KubernetesCluster(
            partial(load_credentials, str(kubeconfig)), settings_for("team"), now=now, jitter=random.Random(1).random
        )
        cluster.use_gpu_classes(CLASSES)
        await cluster.start()
        try:
            rig = ClusterRig(cluster, H100, H100_NODES, "team", _nothing, limit_seconds=180.0)
            gone = await rig.created(rig.workload("w-goes"))
            stays = await rig.created(rig.workload("w-stays"))
            wire.is_cut = True
            wire.cut_streams()
            await api.delete(f"{JOBS}/{gone.name}", {"propagationPolicy": "Background"})
            version = (await api.get(JOBS))["metadata"]["resourceVersion"]
            command = await kill_apiserver(plane)
            await compact_etcd(plane, version)
            with apiserver_again(plane, command):
                wire.is_cut = False
                await rig.until(lambda seen: gone.uid not in seen.jobs)
                assert wire.expired_watches > 0
                assert stays.uid in rig.seen.jobs
                await rig.cluster.apply([CreateJob(rig.workload("w-later"), H100)])
                await rig.until(lambda seen: seen.job_named("w-later") is not None)

                await rig.until(lambda _: cluster.is_reachable)
                before = await sockets()
                for number in range(CUTS):
                    wire.cut_streams()
                    await rig.created(rig.workload(f"w-cut-{number}"))
                await eventually(sockets, lambda count: count <= before + POOLED)
        finally:
            await cluster.close()


async def _nothing(job: ObservedJob, seconds: int) -> None:
    raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")
