"""Past use: what attempts that are over count for fair share and spend guards.

It is not stored: it follows from the attempts, and is counted anew at the start.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.guards import PastSpend
from scheduler.domain.policy import Policy
from scheduler.domain.sheltering import Sheltered
from scheduler.domain.units import MS_PER_DAY, EngineerId, PerMille
from scheduler.domain.usage import NO_USE, DecayedUse
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.pending import Pending

HALF_LIVES = 10
"""How far back fair share remembers: what is older would count a thousandth."""
REMEMBERED, ENOUGH = 500, 20
ASSUMED = PerMille(600)
"""Of its time limit an attempt uses so much as long as too few have ended to know."""
GUARDED_MS = 3 * MS_PER_DAY
"""No window of a guard is longer."""


@dataclass(eq=False)
class PastUse:
    """By engineer for fair share and minimum runtimes, by engineer and team for guards; empty where the policy asks for
    none of it."""

    usage: dict[EngineerId, DecayedUse] = field(default_factory=dict)
    spent: dict[Holder, PastSpend] = field(default_factory=dict)
    sheltered: dict[EngineerId, Sheltered] = field(default_factory=dict)
    shares: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Of the time limits of the last attempts that ended, the part that was used, in per mille."""

    @property
    def usual_share(self) -> PerMille:
        """What part of its time limit an attempt usually uses: the median, once enough have ended to tell."""
        shares = sorted(self.shares)
        return PerMille(shares[len(shares) // 2]) if len(shares) >= ENOUGH else ASSUMED

    def count(self, ended: Iterable[Attempt], policy: Policy, pending: Pending) -> None:
        """Add attempts that have ended, in the order of their ends. Of a booking what ran inside counts, as it did while
        it ran: the window that stands beside it would be the same GPUs once more."""
        kinds = sorted({guard.window for guard in policy.spend_guards})
        for attempt in ended:
            if attempt.is_booking:
                continue
            if attempt.started_at is not None and attempt.ended_at is not None and attempt.time_limit_ms:
                ran = 1000 * max(0, attempt.ended_at - attempt.started_at) // attempt.time_limit_ms
                self.shares.append(min(1000, ran))
            if policy.limits.protected_per_day is not None:
                self.sheltered[attempt.owner] = self.sheltered.get(attempt.owner, Sheltered()).and_of(attempt, policy)
            if policy.looks_back:
                use = self.usage.get(attempt.owner, NO_USE).and_of(attempt, policy.fair_share.half_life_ms)
                self.usage[attempt.owner] = pending.usage[attempt.owner] = use
            if kinds and attempt.ended_at is not None:
                for holder in (Holder(HolderKind.ENGINEER, attempt.owner), Holder(HolderKind.TEAM, attempt.team)):
                    known = self.spent.get(holder, PastSpend())
                    spent = known.and_of(attempt, kinds, policy.time_zone)
                    self.spent[holder] = pending.spent[holder] = spent

    def forget(self, pending: Pending) -> None:
        pending.usage.update(dict.fromkeys(self.usage))
        pending.spent.update(dict.fromkeys(self.spent))
        self.usage.clear()
        self.sheltered.clear()
        self.spent.clear()


def reaches_back(policy: Policy) -> int:
    """For how long, in milliseconds, the policy looks at attempts that are over; 0 where it does not."""
    fair_share_ms = HALF_LIVES * policy.fair_share.half_life_ms if policy.looks_back else 0
    counts_days = bool(policy.spend_guards) or policy.limits.protected_per_day is not None
    return max(fair_share_ms, GUARDED_MS if counts_days else 0)


def looks_otherwise(old: Policy | None, new: Policy) -> bool:
    """Whether past use is to be counted anew for another policy."""

    def looks(policy: Policy) -> object:
        is_capped = policy.limits.protected_per_day is not None
        return (policy.looks_back, policy.fair_share, policy.spend_guards, is_capped, policy.time_zone)

    return old is None or looks(old) != looks(new)
