"""The small company under a policy that wants two persons, and files that would change it."""

from scheduler.adapters.policy_files import read_policy
from scheduler.entrypoints.running import Service
from tests.entrypoints.company import NOON, POLICY, SYSTEM

BASE = POLICY.read_text(encoding="utf-8")
_ALONE = "approvals: {grants: one-person, policy: one-person, prices: one-person, access: one-person}\n"
assert _ALONE in BASE, "the small company says that one person is enough"
AS_SHIPPED = BASE.replace(_ALONE, "")
"""It says nothing of approvals."""
STRICT = BASE.replace(_ALONE, _ALONE.replace("one-person", "two-persons"))
RAISED = STRICT.replace(
    "allowance_gpu_hours: 1000\n    priority_classes", "allowance_gpu_hours: 1200\n    priority_classes"
)
LOWERED = STRICT.replace(
    "allowance_gpu_hours: 1000\n    priority_classes", "allowance_gpu_hours: 900\n    priority_classes"
)
STAFF_RAISED = STRICT.replace("allowance_gpu_hours: 5000", "allowance_gpu_hours: 6000")


def want_two_persons(service: Service) -> None:
    """From here on a second person is needed."""
    service.administration.apply_policy(SYSTEM, STRICT, read_policy(STRICT, "strict.yaml"), now=NOON)
