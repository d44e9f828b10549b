"""Kubeconfigs that are missing, broken, expired or point nowhere: one clear line each."""

import asyncio
import datetime as dt
import random
import ssl
from functools import partial
from pathlib import Path

import pytest

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.connection import Connection, ConnectionLimits
from scheduler.adapters.kubernetes.credentials import Credentials, load_credentials
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.units import Instant
from tests.adapters.kubernetes.kubeconfigs import certificate, kubeconfig


def refusal_of(path: Path) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        load_credentials(str(path)).tls()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path / "nowhere")

    assert refusal.code is RefusalCode.KUBECONFIG_MISSING
    assert str(tmp_path / "nowhere") in refusal.message


def test_the_kubeconfig_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server="https://10.1.2.3:6443")))

    assert load_credentials().server == "https://10.1.2.3:6443"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("{{nonsense", "mapping", id="not YAML"),
        pytest.param("- a\n- b\n", "", id="a list"),
        pytest.param("current-context: gone\ncontexts: []\nclusters: []\nusers: []\n", "gone", id="no such context"),
    ],
)
def test_a_broken_kubeconfig_is_refused_with_its_cause(tmp_path: Path, content: str, cause: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)

    refusal = refusal_of(file)

    assert refusal.code is RefusalCode.KUBECONFIG_INVALID
    assert str(file) in refusal.message
    assert cause in refusal.message


def test_a_server_that_is_no_address_is_refused(tmp_path: Path) -> None:
    refusal = refusal_of(kubeconfig(tmp_path, server="cluster.example"))

    assert refusal.code is RefusalCode.KUBECONFIG_INVALID
    assert "cluster.example" in refusal.message


def test_an_expired_client_certificate_is_refused_with_its_date(tmp_path: Path) -> None:
    refusal = refusal_of(kubeconfig(tmp_path, user=certificate(dt.datetime(2020, 5, 17, tzinfo=dt.UTC))))

    assert refusal.code is RefusalCode.KUBECONFIG_INVALID
    assert "expired on 2020-05-17" in refusal.message


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    valid = certificate(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))
    other = certificate(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))

    refusal = refusal_of(kubeconfig(tmp_path, user={**valid, "client-key-data": other["client-key-data"]}))

    assert refusal.code is RefusalCode.KUBECONFIG_INVALID


def test_a_plugin_that_fails_is_refused(tmp_path: Path) -> None:
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "no-such-plugin",
            "interactiveMode": "Never",
        }
    }

    with pytest.raises(Unavailable) as caught:
        load_credentials(str(kubeconfig(tmp_path, user=plugin)))

    assert caught.value.code is RefusalCode.KUBECONFIG_INVALID
    assert "exec plugin" in caught.value.message


async def test_a_plugin_gives_the_token(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    program.write_text(
        '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"from-the-plugin"}}\'\n'
    )
    program.chmod(0o700)
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(program),
            "interactiveMode": "Never",
        }
    }

    credentials = load_credentials(str(kubeconfig(tmp_path, user=plugin)))

    assert await credentials.authorization() == "Bearer from-the-plugin"


async def test_a_certificate_needs_no_token(tmp_path: Path) -> None:
    valid = certificate(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))

    credentials = load_credentials(str(kubeconfig(tmp_path, user=valid)))

    assert await credentials.authorization() is None
    assert credentials.tls() is not None


def test_an_apiserver_need_not_say_which_key_signed_its_certificate(tmp_path: Path) -> None:
    tls = load_credentials(str(kubeconfig(tmp_path))).tls()

    assert tls is not None
    assert not tls.verify_flags & ssl.VERIFY_X509_STRICT


async def test_a_kubeconfig_that_points_nowhere_is_unavailable_at_once(tmp_path: Path) -> None:
    credentials = partial(load_credentials, str(kubeconfig(tmp_path)))
    settings = ClusterSettings(limits=ConnectionLimits(timeout_seconds=5))
    cluster = KubernetesCluster(credentials, settings, now=lambda: Instant(0), jitter=random.Random(1).random)

    with pytest.raises(Unavailable) as caught:
        await cluster.start()

    assert caught.value.code is RefusalCode.CLUSTER_UNAVAILABLE
    assert "https://127.0.0.1:1 does not answer" in caught.value.message
    assert "\n" not in str(caught.value)
    assert not cluster.is_reachable


async def test_no_request_is_sent_without_the_token_that_another_one_is_reading() -> None:
    connection = Connection(SlowToken(), random.Random(1).random)
    sent = await asyncio.gather(*(connection._headers("application/json", "application/json") for _ in range(5)))
    assert [headers.get("Authorization") for headers in sent] == ["Bearer t-1"] * 5


class SlowToken(Credentials):
    """Reads its token in a while, and says how often it did."""

    def __init__(self) -> None:
        self.reads = 0

    async def authorization(self) -> str | None:
        self.reads += 1
        for _ in range(10):
            await asyncio.sleep(0)
        return f"Bearer t-{self.reads}"
