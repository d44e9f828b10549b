"""Asks the kubelet which pod has which devices: `List` of PodResources, gRPC on a unix socket.

The socket is looked for at every call, since a kubelet that is started again makes another. What cannot be had is None:
unavailable, and never "no pods".
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from scheduler.adapters.kubelet.cdi import CdiFolder, MigPlace
from scheduler.adapters.kubelet.messages import METHOD, ListRequest, ListResponse
from scheduler.metering.device_allocations import AllocatedDevice
from scheduler.metering.samples import PodRef

logger = logging.getLogger("allot.agent")

TIMEOUT_SECONDS = 5.0
MESSAGE_BYTES_MAX = 64 << 20
"""A node of many pods tells more than gRPC's 4 MiB (dcgm-exporter#509)."""

DRA_DRIVER = "gpu.nvidia.com"
MIG = "-mig-"
"""In the middle of a device's name in a claim: `gpu-0-mig-1g10gb-19-0`, in older drivers `gpu-0-mig-19-0-1`."""


class PodResources:
    """The list, as often as it is asked for. Logs when it begins to fail, and when it is there again."""

    def __init__(self, socket: Path, cdi: CdiFolder | None = None) -> None:
        """`cdi` tells which MIG instances claims were given; without it, they remain unresolved."""
        self._socket = socket
        self._cdi = cdi
        self._failing: str | None = None

    def list(self) -> tuple[AllocatedDevice, ...] | None:
        """Every GPU that a pod was given. Blocks for five seconds at most."""
        try:
            with grpc.insecure_channel(
                f"unix:{self._socket}", options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
            ) as channel:
                call = channel.unary_unary(
                    METHOD,
                    request_serializer=ListRequest.SerializeToString,
                    response_deserializer=ListResponse.FromString,
                )
                answer = call(ListRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            self._note(str(error.code()) if isinstance(error, grpc.Call) else type(error).__name__)
            return None
        self._note(None)
        return tuple(self._allocated(answer))

    def _allocated(self, answer: Any) -> Iterator[AllocatedDevice]:
        places: dict[str, tuple[MigPlace, ...]] | None = None
        for pod in answer.pod_resources:
            ref = PodRef(pod.namespace, pod.name)
            for container in pod.containers:
                for devices in container.devices:
                    if _is_gpu(devices.resource_name):
                        yield from (
                            AllocatedDevice(device_id, ref, container.name) for device_id in devices.device_ids
                        )
                for part in (part for claim in container.dynamic_resources for part in claim.claim_resources):
                    if part.driver_name != DRA_DRIVER:
                        continue
                    if places is None and MIG in part.device_name:
                        places = self._cdi.places() if self._cdi is not None else {}
                    for device_id in _claimed(part, places or {}):
                        yield AllocatedDevice(device_id, ref, container.name)

    def _note(self, failing: str | None) -> None:
        if failing is not None and self._failing is None:
            logger.warning("the kubelet's PodResources at %s cannot be had: %s", self._socket, failing)
        elif failing is None and self._failing is not None:
            logger.info("the kubelet's PodResources are there again")
        self._failing = failing


def _claimed(part: Any, places: Mapping[str, tuple[MigPlace, ...]]) -> list[str]:
    """The ids of a claim's device: of a MIG instance those that CDI knows, else its name, which names none."""
    instances = [place for each in part.cdi_devices for place in places.get(each.name, ())]
    if MIG in part.device_name and instances:
        return [place.device_id for place in sorted(set(instances), key=str)]
    return [part.device_name]


def _is_gpu(resource: str) -> bool:
    """`nvidia.com/gpu`, `nvidia.com/gpu.shared`, `nvidia.com/mig-1g.10gb`."""
    return resource.startswith(("nvidia.com/gpu", "nvidia.com/mig-"))
