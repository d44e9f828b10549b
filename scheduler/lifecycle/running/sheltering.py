"""Sheltering: which launches of a transaction are given their minimum runtime, where policy caps that per owner and day."""

from collections import defaultdict
from dataclasses import replace

from scheduler.domain.hours import hours_text
from scheduler.domain.reasons import Reason
from scheduler.domain.sheltering import day_of, is_within_cap, shelter_of
from scheduler.domain.units import EngineerId
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.writing.batch import Batch


class Sheltering:
    """What owners were given today is added up when the first launch asks for it: once per transaction."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._given: dict[EngineerId, int] | None = None

    def sheltered(self, attempt: Attempt) -> Attempt:
        """The attempt, with or without its minimum runtime; its owner is told where it has none."""
        batch, policy = self._batch, self._batch.world.require_policy()
        cap, needed = policy.limits.protected_per_day, shelter_of(attempt, policy)
        if cap is None or not needed:
            return attempt
        if self._given is None:
            self._given = self._given_today()
        given = self._given[attempt.owner]
        if is_within_cap(attempt, given, policy):
            self._given[attempt.owner] = given + needed
            return attempt
        batch.say(
            attempt.workload_id,
            Reason.UNSHELTERED,
            {"given_hours": hours_text(given), "needed_hours": hours_text(needed), "limit_hours": hours_text(cap)},
        )
        return replace(attempt, minimum_runtime_ms=0)

    def _given_today(self) -> dict[EngineerId, int]:
        world, policy = self._batch.world, self._batch.world.require_policy()
        today = day_of(self._batch.now, policy)
        given: dict[EngineerId, int] = defaultdict(int)
        for owner, known in world.past_use.sheltered.items():
            given[owner] += known.on(today)
        for attempt in list(world.attempts.values()):
            if attempt.launched_at >= today:
                given[attempt.owner] += shelter_of(attempt, policy)
        return given
