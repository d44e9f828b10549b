"""What was refused of what agents sent: counted by node, device and code, and never kept as a reading."""

from dataclasses import dataclass

from scheduler.domain.units import Instant

DEVICES_COUNTED_MAX = 128
"""Of one node and code: more than any node has, whatever it makes up. Those beyond are counted together, without a UUID."""


@dataclass(frozen=True, slots=True)
class RefusedSample:
    """`code` is an `Admission`'s or a refusal's; `gpu_uuid` is empty where the body named none, and
    for all devices beyond DEVICES_COUNTED_MAX of the node and code. `detail` says what was
    found in the last of the `count`. All of it is what the sender wrote: shown, never trusted."""

    node: str
    gpu_uuid: str
    code: str
    count: int
    first_at: Instant
    last_at: Instant
    detail: str = ""
