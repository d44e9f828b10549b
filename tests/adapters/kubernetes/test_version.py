"""Which Kubernetes is new enough: a server that only says its version is asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from scheduler.adapters.kubernetes.checking import check_version
from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.domain.errors import RefusalCode, Unavailable
from tests.adapters.kubernetes.wire import kubeconfig_for


@pytest.fixture
async def version_at(tmp_path: Path) -> AsyncIterator[tuple[dict[str, str], Path]]:
    """What the server answers, to be set by the test, and a kubeconfig for it."""
    said = {"gitVersion": ""}
    application = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(said)

    application.router.add_get("/version", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield said, kubeconfig_for(tmp_path, f"http://{host}:{port}")
    await runner.cleanup()


@pytest.mark.parametrize("version", ["v1.36.0", "v1.36.1+simulated", "v1.40.1-eks-1", "v2.0.0"])
async def test_a_server_of_1_36_or_later_is_taken(version_at: tuple[dict[str, str], Path], version: str) -> None:
    said, kubeconfig = version_at
    said["gitVersion"] = version
    async with Connection(load_credentials(str(kubeconfig)), lambda: 0.0) as connection:
        assert await check_version(connection) == version


@pytest.mark.parametrize("version", ["v1.35.9", "v1.9.0", "v0.99.0", "mystery"])
async def test_an_older_server_is_refused_with_what_is_needed(
    version_at: tuple[dict[str, str], Path], version: str
) -> None:
    said, kubeconfig = version_at
    said["gitVersion"] = version
    async with Connection(load_credentials(str(kubeconfig)), lambda: 0.0) as connection:
        with pytest.raises(Unavailable) as refused:
            await check_version(connection)
    assert refused.value.code is RefusalCode.CLUSTER_TOO_OLD
    assert (refused.value.message, refused.value.expected) == (
        f"the cluster runs Kubernetes {version}",
        "1.36 or later",
    )
