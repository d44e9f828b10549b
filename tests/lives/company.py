"""The company that lives are told of: two teams on one cluster. Its terms differ from life to life, and within one."""

from dataclasses import dataclass
from functools import cache
from string import Template

from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import NodeName
from scheduler.simulation.machines import A100, H100, Machine

OFFICE = Caller("olga", frozenset(Role))
"""Whoever grants, pays, closes and stops."""
GATEWAY = Caller("gate", frozenset({Role.GATEWAY}))
PROJECTS = {"research": "aurora", "evals": "borea"}
TEAMMATE = {"ada": "bao", "bao": "ada", "ida": "joe", "joe": "ida"}
MACHINES = (
    *(Machine(NodeName(f"h{number}"), H100, 4, 64_000, 500_000) for number in range(3)),
    *(Machine(NodeName(f"a{number}"), A100, 4, 64_000, 500_000) for number in range(2)),
)

_POLICY = Template("""
version: 1
approvals: {grants: one-person, policy: one-person, prices: one-person, access: one-person}
period: $period
time_zone: $zone
default_priority_class: standard
images: ["*"]
gpu_classes:
  H100: {weight_per_mille: $weight, node_selector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}
  A100: {weight_per_mille: 613, node_selector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}}
priority_classes:
  urgent: {value: 1000, class_factor_per_mille: 1500, preemptible: false}
  sandbox: {value: 800, hold: rolling, slice_minutes: 15, at_exhaustion: stop, minimum_runtime_minutes: 5}
  standard: {value: 500, refund_cap_minutes: 60}
  off-peak: {value: 100, class_factor_per_mille: $off_peak_factor, hold: rolling, slice_minutes: 7,
             at_exhaustion: unfunded, may_start_unfunded: true, refund_cap_minutes: 20}
tiers:
  senior:
    allowance_gpu_hours: $hours
    overdraft_gpu_hours: $overdraft
    rollover: decaying
    rollover_keep_per_mille: 500
    may_transfer: true
    may_donate: true
    allowances:
      tokens: {amount: 100000, rollover_cap: 1000}
      $unit
  junior: {allowance_gpu_hours: 3, may_transfer: true, may_donate: true, rollover: capped, rollover_cap_gpu_hours: 1}
pools:
  research:
    teams: [research]
    cohort: all
    quotas: {H100: {nominal_gpus: 8, borrowing_limit_gpus: 8}, A100: {nominal_gpus: 4, borrowing_limit_gpus: 8}}
    within_pool: LowerPriority
    reclaim_within_cohort: Any
  evals:
    teams: [evals]
    cohort: all
    quotas: {H100: {nominal_gpus: 4, borrowing_limit_gpus: 8}, A100: {nominal_gpus: 4, borrowing_limit_gpus: 8}}
    within_pool: LowerOrNewerEqualPriority
    reclaim_within_cohort: LowerPriority
cohorts: {all: {}}
consolidation: {priority_classes: [standard, off-peak], lost_max_gpu_minutes: 600, moves_max: 4}
projects:
  aurora: {team: research, allowance_gpu_hours: 6}
  borea: {team: evals}
limits: {start_timeout_minutes: 5}
sandbox: {images: ["*"], default_image: notebook}
stop_rates:
  preempt: {share_per_mille: 1000, floor_gpus: 1000}
  exhaustion: {share_per_mille: 1000, floor_gpus: 1000}
  idle: {share_per_mille: 1000, floor_gpus: 1000}
retry_rules:
  transient: {ends: [Failed, StartTimeout], retries_max: 2, first_wait_seconds: 30, longest_wait_seconds: 900}
idle_rules:
  sandboxes: {kinds: [sandbox], window_minutes: 40, warn_at_minutes: [10, 25], action: suspend, dry_run: false}
""")

_PEOPLE = Template("""
version: 1
engineers:
  - {subject: ada, team: research, tier: senior}
  - {subject: bao, team: $team_of_bao, tier: junior}
  - {subject: ida, team: evals, tier: senior}
  - {subject: joe, team: evals, tier: junior}
""")

_PRICES = Template("""
version: 1
currency: EUR
time_zone: Europe/Berlin
billing: {account_id: example, account_name: Example AG}
off_peak: {hours: [22, 23, 0, 1, 2, 3, 4, 5], days: [sat, sun]}
rates:
  - {gpu_class: H100, from: 2026-01-01, list: 3.90, contracted: 3.20, effective: $price,
     off_peak: {list: 3.90, contracted: 2.40, effective: $night_price}}
  - {gpu_class: A100, from: 2026-01-01, list: 2.40, contracted: 1.90, effective: 1.60}
tokens:
  - {from: 2026-01-01, list: 0.60, contracted: 0.45, effective: 0.40}
""")


@dataclass(frozen=True, slots=True)
class Terms:
    """What differs. `unit` is what a senior has beside standard hours and tokens."""

    period: str = "day"
    zone: str = "UTC"
    weight: int = 1000
    off_peak_factor: int = 500
    hours: int = 10
    overdraft: int = 0
    unit: str = ""
    price: str = "2.80"
    night_price: str = "2.10"
    team_of_bao: str = "research"

    @property
    def policy(self) -> str:
        return self._fill(_POLICY)

    @property
    def people(self) -> str:
        return self._fill(_PEOPLE)

    @property
    def prices(self) -> str:
        return self._fill(_PRICES)

    def _fill(self, text: Template) -> str:
        return text.substitute({name: getattr(self, name) for name in self.__slots__})


PERIODS = ("day", "day", "week", "month")
ZONES = ("UTC", "Europe/Berlin")
WEIGHTS = (1000, 997, 1333)
FACTORS = (500, 333)
HOURS = (10, 2, 40)
UNITS = (
    "",
    "gpu/H100: {amount: 30, rollover_cap: 2}",
    "EUR: {amount: 60, rollover_cap: 10}",
    "gpu/H100: {amount: 3, rollover_cap: 2}\n      EUR: {amount: 17, rollover_cap: 50}",
)
PRICES = ("2.80", "2.777777", "0.5")
NIGHT_PRICES = ("2.10", "0.999999")

policy_of = cache(read_policy)
"""A policy is a value: whoever reads the same text gets the same."""
