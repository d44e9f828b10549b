"""The cluster of a kubeconfig or of the in-cluster account. Imported where it is asked for: its client takes a second."""

import random
import secrets
import socket
from functools import partial

from scheduler.adapters.kubernetes.claiming import Claimant
from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.entrypoints.settings import Settings
from scheduler.ports import Clock, Cluster


def open_cluster(settings: Settings, clock: Clock, books: str) -> Cluster:
    """Not yet started: whether it can be reached shows then. `books` is the id of the ledger, in whose name namespaces are
    claimed."""
    claimant = Claimant(books, f"{socket.gethostname()}_{secrets.token_hex(4)}")
    return KubernetesCluster(
        partial(load_credentials, settings.kubeconfig, settings.context),
        ClusterSettings(namespaces=settings.namespaces, is_observer=settings.observe, claimant=claimant),
        now=clock.now,
        jitter=random.SystemRandom().random,
    )
