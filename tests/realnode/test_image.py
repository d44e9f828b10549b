"""The image of the Containerfile on the real node: what it needs not to have, and that it is the whole service.

`make test-image` builds it, on a base made of Debian's packages, and names its archive in ALLOT_IMAGE_ARCHIVE.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from scheduler.entrypoints.devcluster.client import ApiClient, Json
from tests.plugins.deployed import MANIFESTS
from tests.plugins.realnode import ARCHIVE
from tests.realnode.node import RealNode
from tests.realnode.pods import answer_of, in_phase, run_in

NAME = "localhost/allot:test"
TOKEN = "allot_" + 16 * "0123"


@pytest.fixture
async def service(real_node: RealNode, node_api: ApiClient, node_namespace: str) -> AsyncIterator[Json]:
    """The pod of manifests/base on the embedded default, running: the same user, root and capabilities."""
    given = os.environ.get(ARCHIVE)
    assert given is not None, "left out before"
    await asyncio.to_thread(real_node.import_archive, Path(given))
    pods = f"/api/v1/namespaces/{node_namespace}/pods"
    await node_api.post(pods, _embedded(real_node.name))
    yield await in_phase(node_api, node_namespace, "allot", "Running")
    await node_api.delete(f"{pods}/allot", gracePeriodSeconds="0")


@pytest.mark.skipif(ARCHIVE not in os.environ, reason="the image's test was left out: `make test-image` builds it")
async def test_the_image_serves_the_embedded_default_without_a_user_a_right_or_a_root_to_write(
    real_node: RealNode, node_namespace: str, service: Json
) -> None:
    health = orjson.loads(await answer_of(f"http://{service['status']['podIP']}:8410/healthz"))
    assert (health["is_ok"], health["is_simulated"]) == (True, True)

    inside = partial(run_in, real_node.plane, node_namespace, "allot")
    assert await inside("id", "-u") == (0, "65532\n")
    assert (await inside("touch", "/tmp/written"))[0] == 0
    assert "Read-only file system" in (await inside("touch", "/var/tmp/written"))[1]
    assert (await inside("allot", "agent", "--help"))[0] == 0
    sound, doctor = await inside("allot", "doctor", "--no-kubernetes")
    assert sound == 0, doctor
    lists = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    assert not {"pip", "setuptools", "wheel"} & set((await inside("python", "-c", lists))[1].split())


def _embedded(node: str) -> dict[str, Any]:
    """What manifests/base runs, on that node, without the cluster's own: its account, and which cluster to manage.

    The user is the image's: that it is not root is asked for, and who it is is not.
    """
    server = next(
        each
        for each in yaml.safe_load_all((MANIFESTS / "base" / "server.yaml").read_text())
        if each["kind"] == "Deployment"
    )
    spec = server["spec"]["template"]["spec"]
    del spec["serviceAccountName"], spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]
    spec |= {
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
    }
    (container,) = spec["containers"]
    told = {"ALLOT_BOOTSTRAP_TOKEN": TOKEN, "ALLOT_TOKEN": TOKEN}
    environment = [each for each in container["env"] if each["name"] == "ALLOT_HOST"]
    environment += [{"name": name, "value": value} for name, value in told.items()]
    container |= {"image": NAME, "imagePullPolicy": "Never", "env": environment}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "allot"}, "spec": spec}
