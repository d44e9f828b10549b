"""What was refused of what agents sent: counted by node, device and code, and never kept as a reading."""

from dataclasses import dataclass

from scheduler.domain.units import Instant


@dataclass(frozen=True, slots=True)
class RefusedSample:
    """`code` is an `Admission`'s or a refusal's; `gpu_uuid` is empty where the body named none. `detail` says what was
    found in the last of the `count`. All of it is what the sender wrote: shown, never trusted."""

    node: str
    gpu_uuid: str
    code: str
    count: int
    first_at: Instant
    last_at: Instant
    detail: str = ""
