"""What is replayed: submissions in the order of their instants, and whose they are. The same for every policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.domain.allowances import Allowance
from scheduler.domain.people import Engineer
from scheduler.domain.units import EngineerId, Instant
from scheduler.domain.values import value
from scheduler.domain.workloads import WorkloadSpec


@value(frozen=True, slots=True)
class Submission:
    """Work and what becomes of it once it runs.

    `run_ms` is the work to be done on all its GPUs; an `exit_code` other than 0 fails it then. Preempted, it loses
    what it did since its last checkpoint (every `checkpoint_every_ms` of running; 0: it writes none). Its containers
    start `start_ms` after the launch, and end `termination_ms` after SIGTERM, or when its grace is over.
    """

    at: Instant
    owner: EngineerId
    spec: WorkloadSpec
    run_ms: int
    exit_code: int = 0
    checkpoint_every_ms: int = 0
    start_ms: int = 0
    termination_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """Submissions by `at`. `left_out` counts, by why, what its source held beside them; `source` says what it is.

    `grants` are hours that people decided on, by `starts_at`: no policy grants them of itself.
    """

    source: Mapping[str, object]
    people: Sequence[Engineer]
    submissions: Sequence[Submission]
    left_out: Mapping[str, int] = field(default_factory=dict)
    grants: Sequence[Allowance] = ()
