"""Processes and certificates of a dev cluster, each by itself."""

import dataclasses
import socket
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.entrypoints.devcluster import cluster, processes
from scheduler.entrypoints.devcluster.binaries import Binaries
from scheduler.entrypoints.devcluster.certificates import Authority
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.processes import Process
from tests.controlplane.planes import end_orphans

_SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def _plane(directory: Path, process: Process, owner: Process | None) -> ControlPlane:
    directory.mkdir(parents=True)
    plane = ControlPlane(directory, "https://127.0.0.1:1", 1, Path("kubectl"), (process,), owner)
    plane.save()
    return plane


def test_only_the_process_that_was_started_is_killed_never_one_that_got_its_id_later(tmp_path: Path) -> None:
    process = processes.spawn("sleeper", _SLEEPER, tmp_path / "log")
    later = dataclasses.replace(process, started="1")
    assert not processes.is_alive(later)
    processes.kill([later])
    assert processes.is_alive(process)
    processes.kill([process])
    assert not processes.is_alive(process)
    processes.kill([process])


def test_ports_are_free_different_and_below_the_ephemeral_range() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ports = processes.free_ports(6)
        assert taken.getsockname()[1] not in ports
    assert len(set(ports)) == 6
    assert all(20_000 <= port < 32_768 for port in ports)


def test_the_cluster_of_a_killed_run_is_ended_and_others_are_left(tmp_path: Path) -> None:
    orphan = processes.spawn("orphan", _SLEEPER, tmp_path / "orphan.log")
    owned = processes.spawn("owned", _SLEEPER, tmp_path / "owned.log")
    lasting = processes.spawn("lasting", _SLEEPER, tmp_path / "lasting.log")
    clusters = tmp_path / "clusters"
    dead = dataclasses.replace(cluster.this_process(), started="1")
    _plane(clusters / "orphan", orphan, dead)
    _plane(clusters / "owned", owned, cluster.this_process())
    _plane(clusters / "lasting", lasting, None)
    try:
        end_orphans(clusters)
        assert [processes.is_alive(each) for each in (orphan, owned, lasting)] == [False, True, True]
        assert sorted(path.name for path in clusters.iterdir()) == ["lasting", "owned"]
    finally:
        processes.kill([orphan, owned, lasting])


async def test_a_program_that_ends_while_it_starts_is_named_with_what_it_said(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    etcd = programs / "server"
    etcd.write_text("#!/bin/sh\necho 'listen tcp: address already in use'\nexit 1\n")
    etcd.chmod(0o700)
    with pytest.raises(Unavailable) as refused:
        await cluster.start(Binaries(programs), tmp_path / "cluster", Options())
    assert refused.value.code == RefusalCode.DEV_CLUSTER_UNAVAILABLE
    assert "etcd said last: listen tcp: address already in use" in refused.value.message
    assert refused.value.where == str(tmp_path / "cluster" / "logs")


def test_a_certificate_names_the_user_and_the_groups_that_kubernetes_reads(tmp_path: Path) -> None:
    pair = Authority.create(tmp_path / "pki").issue("ada@example.com", groups=("engineers", "ml"))
    subject = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["ada@example.com"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["engineers", "ml"]
    assert pair.key.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_stands_alone(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki")
    path = authority.write_kubeconfig(tmp_path / "config", "https://127.0.0.1:6443", authority.issue("ada"), "ada")
    for file in (tmp_path / "pki").iterdir():
        file.unlink()
    assert ApiClient.from_kubeconfig(path).server == "https://127.0.0.1:6443"
    assert path.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_of_another_kind_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nkind: Config\ncontexts: []\ncurrent-context: prod\n")
    with pytest.raises(InvalidInput, match="embedded client certificate or token") as refused:
        ApiClient.from_kubeconfig(path)
    assert refused.value.code == RefusalCode.KUBECONFIG_INVALID
    assert refused.value.where == str(path)


def test_a_serving_certificate_is_good_for_its_hosts_alone(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki")
    pair = authority.issue("serving", hosts=("127.0.0.1", "localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    names = (
        x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert [str(name.value) for name in names] == ["127.0.0.1", "localhost"]
