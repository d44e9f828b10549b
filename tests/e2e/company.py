"""Who works on the control plane's simulated nodes, and by which policy: one team, four GPU classes, all bounds small."""

from scheduler.domain.idleness import IdlePolicy, IdleRule, IdleThresholds
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import WorkloadKind

POLICY = """
version: 1
approvals: {grants: one-person, policy: one-person, prices: one-person, access: one-person}
period: month
images: ["registry.example/*"]
default_priority_class: standard
gpu_classes:
  T4: {weight_per_mille: 100, node_selector: {nvidia.com/gpu.product: Tesla-T4}}
  H100: {weight_per_mille: 1000, node_selector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}
  A100: {weight_per_mille: 600, node_selector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}}
  L4: {weight_per_mille: 250, node_selector: {nvidia.com/gpu.product: NVIDIA-L4}}
priority_classes:
  urgent: {value: 1000, class_factor_per_mille: 1500, preemptible: false}
  standard: {value: 500}
  off-peak: {value: 100, class_factor_per_mille: 333, hold: rolling, slice_minutes: 1}
tiers:
  engineer: {allowance_gpu_hours: 100, time_limit_max_hours: 8}
  intern: {allowance_gpu_hours: 1, priority_classes: [standard, off-peak]}
pools:
  research:
    teams: [research]
    quotas:
      H100: {nominal_gpus: 24}
      A100: {nominal_gpus: 24}
      L4: {nominal_gpus: 16}
      T4: {nominal_gpus: 16}
projects:
  aurora: {team: research}
sandbox:
  images: ["registry.example/*"]
  default_image: registry.example/notebook:1
"""

PEOPLE = """
version: 1
engineers:
  - {subject: ada, team: research, tier: engineer}
  - {subject: bao, team: research, tier: engineer}
  - {subject: ida, team: research, tier: intern}
  - {subject: olga, team: research, tier: engineer, roles: [engineer, operator]}
"""

H100_NODE_GPUS = 8
"""GPUs of each of the three H100 nodes."""

RACKS = ("rack-0", "rack-0", "rack-1")
"""Of the three H100 nodes."""


def own_h100s(namespace: str) -> tuple[NodeName, ...]:
    """The names of the three, which are the site's of that namespace alone."""
    return tuple(NodeName(f"{namespace}-h100-{index}") for index in range(len(RACKS)))


RESTS = IdleRule(
    "rests",
    kinds=frozenset({WorkloadKind.SANDBOX}),
    thresholds=IdleThresholds(coverage_permille=500),
    policy=IdlePolicy(
        window_ms=40_000,
        warn_at_ms=(10_000, 20_000),
        lead_ms=10_000,
        startup_ms=0,
        coverage_permille=500,
        is_dry_run=False,
    ),
)
"""An idle rule of seconds, where policy files count in minutes. On a busy machine readings are missed: half is enough."""
