"""The contract of every cluster, on the real control plane."""

import pytest

from tests.contracts.cluster_contract import ClusterContract

pytestmark = pytest.mark.controlplane


class TestKubernetesCluster(ClusterContract):
    pass
