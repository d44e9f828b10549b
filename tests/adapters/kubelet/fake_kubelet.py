"""A kubelet that answers `v1.PodResourcesLister/List` on a real unix socket, with the messages of the published proto."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from scheduler.adapters.kubelet.messages import ListRequest, ListResponse

Pods = dict[tuple[str, str], Mapping[str, Sequence[str]]]
"""(namespace, name) → resource → device ids. The resource `dra:DRIVER` stands for claims of that driver."""


class FakeKubelet:
    """What it says can be changed while it serves."""

    def __init__(self) -> None:
        self.pods: Pods = {}
        self.calls = 0

    def answer(self, _request: Any, _context: Any) -> Any:
        self.calls += 1
        response = ListResponse()
        for (namespace, name), devices in self.pods.items():
            pod = response.pod_resources.add(namespace=namespace, name=name)
            container = pod.containers.add(name="main")
            for resource, ids in devices.items():
                if resource.startswith("dra:"):
                    claim = container.dynamic_resources.add(claim_name="gpus", claim_namespace=namespace)
                    for device in ids:
                        part = claim.claim_resources.add(
                            driver_name=resource[4:], pool_name="node", device_name=device
                        )
                        part.cdi_devices.add(name=f"k8s.{resource[4:]}/claim=c-1-{device}")
                else:
                    container.devices.add(resource_name=resource, device_ids=ids)
        return response

    @contextmanager
    def serving(self, socket: Path) -> Iterator["FakeKubelet"]:
        server = grpc.server(ThreadPoolExecutor(max_workers=1), options=[("grpc.max_send_message_length", 64 << 20)])
        handler = grpc.unary_unary_rpc_method_handler(
            self.answer, request_deserializer=ListRequest.FromString, response_serializer=_bytes
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": handler}),)
        )
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield self
        finally:
            server.stop(grace=None).wait()
            socket.unlink(missing_ok=True)


def _bytes(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
