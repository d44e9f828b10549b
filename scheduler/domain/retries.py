"""Retries: which ends of a job are worth another try, how many, and after how long. Rules of the policy, in order.

A preemption, the loss of a node and a refusal by the cluster are nobody's failure: they use up none (Armada's rule).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, PerMille, WorkloadId


class RetriedEnd(StrEnum):
    """Ends of an attempt that a rule may name, in the words of the reasons."""

    FAILED = Reason.FAILED.value
    START_TIMEOUT = Reason.START_TIMEOUT.value
    TIME_LIMIT = Reason.TIME_LIMIT.value
    BOOKING_ENDED = Reason.BOOKING_ENDED.value


COUNTED = frozenset(Reason(end.value) for end in RetriedEnd) | {Reason.GPU_FAULT}
"""Ends that use up a retry. A GPU's fault is found out after its attempt failed and was tried again as any failure is; it
uses up a retry as that did, because a broken GPU that is given out again would be tried for ever."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """`exit_codes` None covers any; `retries_max` 0 says never. Waits double from the first to the longest."""

    name: str
    exit_codes: frozenset[int] | None = None
    ends: frozenset[RetriedEnd] = frozenset({RetriedEnd.FAILED})
    retries_max: int = 3
    first_wait_ms: int = 10_000
    longest_wait_ms: int = 600_000
    jitter: PerMille = PerMille(200)

    def covers(self, reason: Reason, exit_code: int) -> bool:
        return reason.value in self.ends and (self.exit_codes is None or exit_code in self.exit_codes)

    def wait_ms(self, retry: int, workload_id: WorkloadId) -> int:
        """Before the retry of that number, from 1: first × 2^(n−1) at most, and some more, so that what failed
        together is not tried together. The same of a workload is always the same."""
        wait = min(self.longest_wait_ms, self.first_wait_ms << min(retry - 1, 30))
        chance = int.from_bytes(sha256(f"{workload_id}/{retry}".encode()).digest()[:4])
        return wait + wait * self.jitter * chance // (1000 << 32)


@dataclass(frozen=True, slots=True)
class Retry:
    """Another try: its number among those that use up retries, of how many, and not before when."""

    number: int
    of: int
    not_before: Instant


def next_try(
    rules: Sequence[RetryRule], workload_id: WorkloadId, ends: Sequence[Reason], exit_code: int, ended_at: Instant
) -> Retry | None:
    """The retry that the first rule which covers the last of `ends` grants; None where it grants none, or none does. Its
    wait counts from that end, however late it was heard of."""
    number = sum(end in COUNTED for end in ends)
    rule = next((rule for rule in rules if rule.covers(ends[-1], exit_code)), None)
    if rule is None or number > rule.retries_max:
        return None
    return Retry(number, rule.retries_max, Instant(ended_at + rule.wait_ms(number, workload_id)))
