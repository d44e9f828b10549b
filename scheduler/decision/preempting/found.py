"""What a search for victims, or for moves, came to: who gives up what, and where the preemptor goes then."""

from dataclasses import dataclass

from scheduler.decision.ordering.queue import Line
from scheduler.decision.plan import Launch, Victim
from scheduler.decision.preempting.candidates import Candidate
from scheduler.decision.preempting.rules import Rule
from scheduler.domain.cluster import Placement
from scheduler.domain.units import GpuClassName
from scheduler.domain.workloads import Attempt


@dataclass(frozen=True, slots=True)
class Move:
    """A victim that starts again elsewhere, and where."""

    attempt: Attempt
    launch: Launch


_TURNS = {Rule.UNFUNDED: 0, Rule.RECLAIM_WITHIN_COHORT: 1, Rule.BORROW_WITHIN_COHORT: 1, Rule.WITHIN_POOL: 2}


@dataclass(frozen=True, slots=True)
class Found:
    """Victims enough, and where the preemptor goes when they have ended. `attempts` is what each gives up: of those
    that only shrink, the pods that they give back. `moves` are of those that are only moved."""

    gpu_class: GpuClassName
    placement: Placement
    victims: tuple[Victim, ...]
    attempts: tuple[Attempt, ...]
    moves: tuple[Move, ...] = ()

    @property
    def gpus(self) -> int:
        return sum(attempt.gpus for attempt in self.attempts)

    @property
    def turn(self) -> tuple[bool, int]:
        """When it is whose turn, of victims in several GPU classes: as within one, pods above a minimum before whole
        attempts, and unfunded before borrowed before the pool's own."""
        is_any_stopped = any(victim.pods_left is None for victim in self.victims)
        return is_any_stopped, max(_TURNS[Rule(victim.rule)] for victim in self.victims)


def victim_of(candidate: Candidate, line: Line) -> Victim:
    """The candidate as it is taken for a workload of the line, with the comparison that decided."""
    attempt, preemptor = candidate.attempt, line.spec.priority_class
    if candidate.rule is Rule.UNFUNDED:
        comparison = "funded over unfunded"
    elif candidate.rule is Rule.RECLAIM_WITHIN_COHORT:
        comparison = "reclaims borrowed GPUs"
    elif candidate.priority == line.priority:
        comparison = f"both {preemptor}, submitted earlier"
    else:
        comparison = f"{preemptor} over {attempt.priority_class}"
    left = attempt.placement.pods - candidate.gives_back if candidate.gives_back is not None else None
    return Victim(attempt.id, attempt.workload_id, candidate.rule.value, comparison, left)
