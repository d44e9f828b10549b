"""Who may be taken for one workload, and in which order.

Mostly a few are enough, of thousands that run: whoever comes first is looked at, and nobody behind.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

from scheduler.decision.ordering.ageing import was_old
from scheduler.decision.ordering.queue import Line
from scheduler.decision.placing.ends import could_start_after
from scheduler.decision.placing.planned import Planned
from scheduler.decision.placing.running import Bucket, given_back
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.preempting.rules import Rule
from scheduler.domain.units import GpuClassName, Instant
from scheduler.domain.workloads import Attempt


class Candidate(NamedTuple):
    """Somebody who may be taken."""

    attempt: Attempt
    rule: Rule
    priority: int
    gives_back: int | None = None
    """The pods above its minimum that are taken; None: it is stopped."""

    @property
    def part(self) -> Attempt:
        """What of the attempt is taken."""
        return self.attempt if self.gives_back is None else given_back(self.attempt, self.gives_back)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Those of the `sources` that may fall to a workload of `line` that has waited since `waits_since`; each is made as
    it is asked for."""

    outlook: Outlook
    planned: Planned
    line: Line
    waits_since: Instant
    gpu_class: GpuClassName
    sources: list[tuple[Rule, Bucket]]

    @property
    def may_shrink(self) -> bool:
        """Whether any of them is elastic."""
        return any(bucket.elastic for _, bucket in self.sources)

    def everybody(self) -> Iterator[Candidate]:
        """In no order, each with the most that can be had of it."""
        for rule, bucket in self.sources:
            yield from self._made(rule, bucket, bucket.attempts.values(), is_shrinking=False)
            spared = (attempt for key, attempt in bucket.elastic.items() if key not in bucket.attempts)
            yield from self._made(rule, bucket, spared, is_shrinking=True)

    def in_order(self, *, is_shrinking: bool = False) -> Iterator[Candidate]:
        """Whom to stop first, or to take first what is above its minimum: unfunded, borrowed, lower class, then who
        loses least."""
        peers: dict[tuple[int, int], list[tuple[Rule, Bucket, bool]]] = {}
        for rule, bucket in self.sources:
            for is_borrowed in (True, False):
                place = (self._rank(rule, bucket, is_borrowed=is_borrowed), bucket.priority)
                peers.setdefault(place, []).append((rule, bucket, is_borrowed))
        for place in sorted(peers):
            alike = (
                self._made(
                    rule,
                    bucket,
                    self.outlook.cheapest_first(bucket, is_borrowed=is_borrowed, is_shrinking=is_shrinking),
                    is_shrinking=is_shrinking,
                )
                for rule, bucket, is_borrowed in peers[place]
            )
            yield from merge(*alike, key=lambda candidate: self.outlook.cost(candidate.attempt))

    def _rank(self, rule: Rule, bucket: Bucket, *, is_borrowed: bool) -> int:
        """Unfunded, borrowed, or neither. What was borrowed at its launch counts as that while its pool still borrows."""
        if bucket.pool is None:
            return 0
        if is_borrowed and self.outlook.index.quotas.over_nominal(bucket.pool, self.gpu_class) > 0:
            return 1
        # Of a pool that borrows, what it launched within its nominal quota comes after what it borrowed.
        return 2 if rule.is_across else 3

    def _made(
        self, rule: Rule, bucket: Bucket, attempts: Iterable[Attempt], *, is_shrinking: bool
    ) -> Iterator[Candidate]:
        """Those of a bucket's `attempts` that may fall, without what this cycle takes of them for others."""
        now = self.outlook.index.now
        for attempt in attempts:
            if attempt.id in self.planned.victims or not could_start_after(attempt, self.line.spec, now):
                continue
            if rule is Rule.WITHIN_POOL and not self._is_fair_game(bucket, attempt):
                continue
            left = self.planned.left_of(attempt)
            if not is_shrinking:
                yield Candidate(left, rule, bucket.priority)
            elif left.surplus:
                yield Candidate(left, rule, bucket.priority, gives_back=left.surplus)

    def _is_fair_game(self, bucket: Bucket, attempt: Attempt) -> bool:
        """Of its own pool, a workload may take what has not waited too long for it; of its own priority, only what
        was submitted after it."""
        theirs = attempt.submitted_at
        if theirs is None:
            return bucket.priority != self.line.priority
        if bucket.priority == self.line.priority and theirs <= self.waits_since:
            return False
        launched = self.outlook.index.launched.get(attempt.workload_id)
        return launched is None or not was_old(self.line.pool, launched, attempt.launched_at)
