"""The values of `usage`: how an attempt used its GPUs, and how it rests."""

from dataclasses import dataclass

from scheduler.domain.idleness import CurvePoint, Exemption
from scheduler.domain.units import Instant
from scheduler.lifecycle.views.advice import Advice


@dataclass(frozen=True, slots=True)
class UsageView:
    """An attempt over its life. `measure` says what `mean_permille` is the mean of: the share of active
    multiprocessors where the hardware tells, else of the time in which any kernel ran. `idle_permille` is the share of
    the time that was read in which a GPU rested. What was not read is None."""

    attempt_id: str
    number: int
    measure: str
    mean_permille: int | None
    percent_max: int | None
    idle_permille: int | None
    energy_joules: int | None
    joules_per_active_gpu_hour: int | None
    memory_bytes_max: int | None
    covered_permille: int
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class IdleView:
    """Where an attempt's idle clock stands, by which rule, and what was decided before.

    `due_at` is when the action comes if it rests on; None where it does not rest, or nothing is to come. `cpu_waited_ms` is
    for how long of this rest its CPUs were busy and the clock waited, of `cpu_wait_ms_max`; None: the rule never waits.
    `served_at` is by when a sandbox served a request last, which set the clock back; None where nothing was seen of one.
    """

    rule: str
    action: str
    is_dry_run: bool
    window_ms: int
    since: Instant | None
    rested_ms: int
    warned_at: tuple[Instant, ...]
    due_at: Instant | None
    cpu_waited_ms: int
    cpu_wait_ms_max: int | None
    keep_alives_left: int
    exemption: Exemption | None
    decisions: tuple["DecisionView", ...]
    served_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class DecisionView:
    """`hours_back_ms` are the standard GPU-milliseconds that its hold still held when it was due; `hindrance` says why it
    was not taken, where it was not."""

    attempt_id: str
    workload_id: str
    at: Instant
    since: Instant
    rested_ms: int
    action: str
    is_taken: bool
    hindrance: str
    hours_back_ms: int
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class ReclaimView(DecisionView):
    """A decision among those on everybody's work, with the names that people know it by. `owner_name` is empty for a
    person who was forgotten. `came_back_ms` are the standard GPU-milliseconds that came back when its end was settled, as
    the statement has them; None where it was left alone, or is being ended. `came_back` says the same of other units."""

    workload_name: str
    owner: str
    owner_name: str
    came_back_ms: int | None = None
    came_back: tuple[str, ...] = ()
