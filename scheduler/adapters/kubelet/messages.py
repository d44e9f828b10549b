"""The messages of the kubelet's `v1.PodResourcesLister/List`, declared by hand from the published proto.

Only the fields that are read are here; the others pass as unknown ones. The names and numbers are those of
k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD: Final = "/v1.PodResourcesLister/List"

_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_MANY = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED

_MESSAGES: Final[dict[str, dict[str, tuple[int, str, bool]]]] = {
    "ListPodResourcesRequest": {},
    "ListPodResourcesResponse": {"pod_resources": (1, "PodResources", True)},
    "PodResources": {
        "name": (1, "", False),
        "namespace": (2, "", False),
        "containers": (3, "ContainerResources", True),
    },
    "ContainerResources": {
        "name": (1, "", False),
        "devices": (2, "ContainerDevices", True),
        "dynamic_resources": (5, "DynamicResource", True),
    },
    "ContainerDevices": {"resource_name": (1, "", False), "device_ids": (2, "", True)},
    "DynamicResource": {
        "claim_name": (2, "", False),
        "claim_namespace": (3, "", False),
        "claim_resources": (4, "ClaimResource", True),
    },
    "ClaimResource": {
        "cdi_devices": (1, "CDIDevice", True),
        "driver_name": (2, "", False),
        "pool_name": (3, "", False),
        "device_name": (4, "", False),
    },
    "CDIDevice": {"name": (1, "", False)},
}
"""Per message: field → (number, the message it holds or text where that is empty, whether there are many)."""


def _declared() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="allot/podresources.proto", package="v1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, holds, is_many) in fields.items():
            message.field.add(
                name=field,
                number=number,
                type=_MESSAGE if holds else _STRING,
                type_name=f".v1.{holds}" if holds else None,
                label=_MANY if is_many else _ONE,
            )
    # A pool of its own: another library's declaration of the same names is no matter of ours.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _MESSAGES}


_CLASSES: Final = _declared()
ListRequest: Final[Any] = _CLASSES["ListPodResourcesRequest"]
ListResponse: Final[Any] = _CLASSES["ListPodResourcesResponse"]
