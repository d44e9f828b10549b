"""The last sign of life of a node that was lost: its kubelet's lease, which is renewed every ten seconds."""

import logging

import orjson

from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.stamps import instant_of
from scheduler.domain.errors import Unavailable
from scheduler.domain.units import Instant, NodeName

logger = logging.getLogger(__name__)


async def last_heartbeat(connection: Connection, node: NodeName) -> Instant | None:
    """None where there is no lease any more, or no answer: then the pods' own stamps are the evidence."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
    try:
        answer = await connection.request("GET", path)
    except Unavailable as error:
        logger.warning("lease of node %s: %s", node, error.message)
        return None
    if not answer.is_success:
        return None
    return instant_of((orjson.loads(answer.body).get("spec") or {}).get("renewTime"))
