"""A device plugin that offers GPUs by their UUIDs: kubelet's `v1beta1` API, as NVIDIA's plugin speaks it.

The messages are declared by hand from k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto; only the fields that are
used are here. Its folder is /var/lib/kubelet/device-plugins whatever kubelet's root is.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FOLDER = "/var/lib/kubelet/device-plugins"
_ENDPOINT = "allot-gpu.sock"
_Type = descriptor_pb2.FieldDescriptorProto

# Per message: field → (number, text or the message it holds, whether there are many).
_MESSAGES: Final[dict[str, dict[str, tuple[int, str, bool]]]] = {
    "Empty": {},
    "RegisterRequest": {"version": (1, "", False), "endpoint": (2, "", False), "resource_name": (3, "", False)},
    "DevicePluginOptions": {},
    "ListAndWatchResponse": {"devices": (1, "Device", True)},
    "Device": {"ID": (1, "", False), "health": (2, "", False)},
    "AllocateRequest": {"container_requests": (1, "ContainerAllocateRequest", True)},
    "ContainerAllocateRequest": {"devices_ids": (1, "", True)},
    "AllocateResponse": {"container_responses": (1, "ContainerAllocateResponse", True)},
    "ContainerAllocateResponse": {"envs": (1, "Environment", True)},
    # On the wire a map is its entries.
    "Environment": {"key": (1, "", False), "value": (2, "", False)},
}


def _declared() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="allot/deviceplugin.proto", package="v1beta1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, holds, is_many) in fields.items():
            message.field.add(
                name=field,
                number=number,
                type=_Type.TYPE_MESSAGE if holds else _Type.TYPE_STRING,
                type_name=f".v1beta1.{holds}" if holds else None,
                label=_Type.LABEL_REPEATED if is_many else _Type.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1beta1.{name}")) for name in _MESSAGES
    }


_CLASSES: Final = _declared()


class DevicePlugin:
    """Serves from `folder`, kubelet's, however it is reached from here; a container learns its GPUs from
    NVIDIA_VISIBLE_DEVICES, as it does from NVIDIA's."""

    def __init__(self, folder: Path, uuids: Sequence[str], resource: str = "nvidia.com/gpu") -> None:
        self._folder = folder
        self._uuids = tuple(uuids)
        self._resource = resource
        self._closing = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        empty = _CLASSES["Empty"].FromString
        handlers = {
            "GetDevicePluginOptions": unary(self._options, empty, _bytes),
            "ListAndWatch": stream(self._list_and_watch, empty, _bytes),
            "Allocate": unary(self._allocate, _CLASSES["AllocateRequest"].FromString, _bytes),
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", handlers),)
        )

    def register(self, timeout_seconds: float) -> None:
        """Begins to serve, and tells kubelet, whose socket must be there."""
        self._server.add_insecure_port(f"unix:{self._folder / _ENDPOINT}")
        self._server.start()
        asked = _CLASSES["RegisterRequest"](version="v1beta1", endpoint=_ENDPOINT, resource_name=self._resource)
        with grpc.insecure_channel(f"unix:{self._folder / 'kubelet.sock'}") as channel:
            register = channel.unary_unary(
                "/v1beta1.Registration/Register", request_serializer=_bytes, response_deserializer=_bytes_back
            )
            register(asked, timeout=timeout_seconds, wait_for_ready=True)

    def close(self) -> None:
        self._closing.set()
        self._server.stop(grace=None).wait()

    def _options(self, _request: Any, _context: Any) -> Any:
        return _CLASSES["DevicePluginOptions"]()

    def _list_and_watch(self, _request: Any, _context: Any) -> Iterator[Any]:
        devices = [_CLASSES["Device"](ID=uuid, health="Healthy") for uuid in self._uuids]
        yield _CLASSES["ListAndWatchResponse"](devices=devices)
        self._closing.wait()

    def _allocate(self, request: Any, _context: Any) -> Any:
        response = _CLASSES["AllocateResponse"]()
        for container in request.container_requests:
            answer = response.container_responses.add()
            answer.envs.add(key="NVIDIA_VISIBLE_DEVICES", value=",".join(sorted(container.devices_ids)))
        return response


def _bytes(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized


def _bytes_back(received: bytes) -> bytes:
    return received
