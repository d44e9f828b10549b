"""What the decision is told in the next cycle: everything that changed since the last, gathered.

Balances are told only where somebody waits whom they may pay: nobody else's place depends on them. Those that changed
meanwhile are told with the first who comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import AllowanceBalance, HolderKind, holder_of
from scheduler.domain.brakes import Stop
from scheduler.domain.terms import Prices
from scheduler.domain.units import AllowanceId, AttemptId, EngineerId, WorkloadId
from scheduler.domain.usage import DecayedUse
from scheduler.domain.workloads import Attempt, Workload
from scheduler.simulation.replay.books import Purse, ReplayBooks


@dataclass(slots=True)
class Feed:
    books: ReplayBooks
    queued: dict[WorkloadId, Workload | None] = field(default_factory=dict)
    ageing: dict[WorkloadId, Workload | None] = field(default_factory=dict)
    """Those of whom nothing is new but that they grow old: that concerns nobody yet, and can wait."""
    attempts: dict[AttemptId, Attempt | None] = field(default_factory=dict)
    launched: dict[WorkloadId, Workload | None] = field(default_factory=dict)
    reservations: dict[WorkloadId, Reservation | None] = field(default_factory=dict)
    ended: list[Attempt] = field(default_factory=list)
    usage: dict[EngineerId, DecayedUse | None] = field(default_factory=dict)
    stops: tuple[Stop, ...] | None = None
    prices: Prices | None = None
    _has_arrivals: bool = False
    _gone: dict[AllowanceId, None] = field(default_factory=dict)
    _due: dict[AllowanceId, None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.queued or self.attempts or self.reservations or self._due or self._gone or self.prices)

    @property
    def concerns_who_waits(self) -> bool:
        """Whether any of it may matter to somebody who waits for nothing but hours, or a limit of their own."""
        if self._due or self._gone or self.reservations or self._has_arrivals or self.prices is not None:
            return True
        return any(self._waits_with(attempt) for attempt in self.ended)

    def _waits_with(self, attempt: Attempt) -> bool:
        """Whether somebody waits whose limits count this attempt."""
        owner, team = holder_of(HolderKind.ENGINEER, attempt.owner), holder_of(HolderKind.TEAM, attempt.team)
        return bool(self.books.purse(owner).waiting or self.books.purse(team).waiting)

    def arrive(self, workload: Workload) -> None:
        """It waits from now on."""
        self.queued[workload.id] = workload
        self._has_arrivals = True

    def end(self, attempt: Attempt) -> None:
        """It occupies nothing any more."""
        self.attempts[attempt.id] = None
        self.launched[attempt.workload_id] = None
        self.ended.append(attempt)

    def launch(self, workload: Workload, attempt: Attempt) -> None:
        """It waits no more, and occupies what its attempt does."""
        self.queued[workload.id] = None
        self.attempts[attempt.id] = attempt
        self.launched[workload.id] = workload

    def wait(self, purses: Sequence[Purse], count: int) -> None:
        """So many more wait whom these may pay."""
        for purse in purses:
            purse.waiting += count
            if count > 0 and purse.stale:
                self._due.update(purse.stale)
                purse.stale.clear()

    def close(self, allowance_ids: Iterable[AllowanceId]) -> None:
        """Allowances that nobody can draw on any more."""
        self._gone.update(dict.fromkeys(allowance_ids))

    def note_balances(self) -> None:
        """Sort what changed on the books into what is told now and what can wait."""
        changed, self.books.changed = self.books.changed, {}
        for allowance_id in changed:
            purse = self.books.balance(allowance_id).purse
            if purse.waiting:
                self._due[allowance_id] = None
            else:
                purse.stale[allowance_id] = None

    def take(self) -> Changes:
        """Everything gathered."""
        balances: dict[AllowanceId, AllowanceBalance | None] = {
            allowance_id: self.books.balance(allowance_id).as_value() for allowance_id in self._due
        }
        balances.update(dict.fromkeys(self._gone))
        changes = Changes(
            queued={**self.ageing, **self.queued},
            attempts=self.attempts,
            launched=self.launched,
            balances=balances,
            reservations=self.reservations,
            usage=self.usage,
            stops=self.stops,
            prices=self.prices,
        )
        self.queued, self.attempts, self.reservations = {}, {}, {}
        self.launched, self.ageing = {}, {}
        self.prices = None
        self.usage, self.stops, self.ended, self._has_arrivals = {}, None, [], False
        self._due, self._gone = {}, {}
        return changes
