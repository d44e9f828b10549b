"""What a simulated workload does once it runs: for how long, how it ends, how it starts and stops.

A fate is a function of the seed and the workload's name and terms alone, so that a simulation that is started again
need not remember it.
"""

from enum import StrEnum
from random import Random

from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND
from scheduler.domain.values import value
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec


class Pattern(StrEnum):
    """How busy it keeps its GPUs."""

    BUSY = "busy"
    """Training: near full, with dips where a checkpoint is written."""
    BURSTY = "bursty"
    """Evaluation and serving: minutes of work, minutes of waiting."""
    INTERACTIVE = "interactive"
    """A person at a sandbox: short bursts, long pauses."""
    IDLE = "idle"
    """Held and not used: a sandbox left open."""
    HANG = "hang"
    """A collective that waits for ever: full utilisation at little power."""


@value(frozen=True, slots=True)
class Fate:
    """`run_ms` is the work to be done, None: until it is told to stop. `exit_code` is how it ends by itself.

    A preempted attempt loses what it did since its last checkpoint (`checkpoint_every_ms`; 0: it writes none).
    It needs `start_ms` from binding to start where the image is on the node, and `termination_ms` from SIGTERM to
    its end, if its grace is as long.
    """

    run_ms: int | None
    exit_code: int = 0
    checkpoint_every_ms: int = 0
    start_ms: int = 2 * MS_PER_SECOND
    termination_ms: int = 5 * MS_PER_SECOND
    pattern: Pattern = Pattern.BUSY


FAILURE_SHARE = 0.12
"""Of the jobs; the Philly and Helios traces report far more failures, mostly within minutes (Jeon et al., ATC 2019)."""
HANG_SHARE = 0.01
OVERRUN_SHARE = 0.08
"""Of the jobs ask for less time than they need, and are stopped at their limit."""
_IDLE_SANDBOX_SHARE = 0.35


def fate_of(seed: int, spec: WorkloadSpec) -> Fate:
    """The fate of work that asks for this: a job needs part of its limit, a sandbox runs until it is stopped."""
    chance = Random(f"{seed}/{spec.name}/{spec.time_limit_ms}/{spec.gpus}")
    start_ms = int(min(60.0, chance.lognormvariate(0.7, 0.8)) * MS_PER_SECOND)
    termination_ms = int(min(600.0, chance.lognormvariate(1.6, 0.9)) * MS_PER_SECOND)
    if spec.kind is WorkloadKind.SANDBOX:
        pattern = Pattern.IDLE if chance.random() < _IDLE_SANDBOX_SHARE else Pattern.INTERACTIVE
        return Fate(None, start_ms=start_ms, termination_ms=termination_ms, pattern=pattern)
    if chance.random() < HANG_SHARE:
        return Fate(None, start_ms=start_ms, termination_ms=600 * MS_PER_SECOND, pattern=Pattern.HANG)
    run_ms, exit_code = _run(chance, spec.time_limit_ms)
    return Fate(
        run_ms=run_ms,
        exit_code=exit_code,
        checkpoint_every_ms=_checkpoint_every_ms(chance, spec),
        start_ms=start_ms,
        termination_ms=termination_ms,
        pattern=Pattern.BUSY if chance.random() < 0.75 else Pattern.BURSTY,
    )


def _run(chance: Random, limit_ms: int) -> tuple[int, int]:
    """How long it runs and its exit code. People ask for about twice what they need (Mu'alem and Feitelson, 2001)."""
    if chance.random() < FAILURE_SHARE:
        # Failures come early: half of them within a tenth of the limit.
        share = min(1.0, chance.expovariate(7.0))
        return max(MS_PER_SECOND, int(limit_ms * share)), chance.choice((1, 1, 1, 137, 139))
    if chance.random() < OVERRUN_SHARE:
        return int(limit_ms * chance.uniform(1.0, 1.6)), 0
    return max(MS_PER_SECOND, int(limit_ms * chance.betavariate(2.0, 2.2))), 0


def _checkpoint_every_ms(chance: Random, spec: WorkloadSpec) -> int:
    """Long and wide work writes checkpoints, short work does not."""
    if spec.time_limit_ms < 2 * MS_PER_HOUR or chance.random() < 0.25:
        return 0
    return chance.choice((10, 20, 30, 60)) * MS_PER_MINUTE
