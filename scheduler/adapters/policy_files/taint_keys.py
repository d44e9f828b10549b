"""The key of a policy file that says which taints of its nodes the pods of a GPU class tolerate."""

from scheduler.adapters.policy_files.kinds import ListOf, Text
from scheduler.adapters.policy_files.sections import Field

_KEY = Text("a taint's key", r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

TOLERATES = Field(
    "tolerates",
    ListOf(_KEY, high=32),
    "keys of node taints that its pods tolerate beside `nvidia.com/gpu`, whatever their value and effect",
    default=(),
    absent="none",
)
