"""One search for victims in one GPU class: greedily in the stated order, then put back, the last first, where the
preemptor fits without.

Before anybody is stopped, elastic attempts give back what is above their minimum, in the same order, and no more pods
than are needed (docs/adr/0025-elastic-jobs.md).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from scheduler.decision.keeping.ahead import RoomAhead
from scheduler.decision.keeping.backfill import Backfill
from scheduler.decision.ordering.queue import Lane
from scheduler.decision.placing.ends import latest_end
from scheduler.decision.placing.freed import freed_by
from scheduler.decision.preempting.candidates import Candidate, Candidates
from scheduler.decision.preempting.found import Found, victim_of
from scheduler.decision.preempting.node_room import NodeRoom
from scheduler.decision.preempting.rules import Way
from scheduler.domain.units import AttemptId, Instant, PoolName

_TRIED_FIRST = 8
"""Candidates taken before everybody is summed up: that costs as much as taking hundreds of them."""


class Search:
    """One look for victims: what would be free, and used of quotas, without those taken so far."""

    def __init__(self, candidates: Candidates, backfill: Backfill, lane: Lane, way: Way) -> None:
        self._candidates = candidates
        self._backfill = backfill
        self._index = index = candidates.outlook.index
        self._lane, self._line = lane, candidates.line
        self._gpu_class = candidates.gpu_class
        self._may_borrow = way is not Way.ENDS_WITHIN
        self._table = index.capacity.table(self._gpu_class)
        self._row = self._table.row(lane.key.shape)
        self._given_back: dict[PoolName, int] = {}
        self.may_others_help = False
        """Whether somebody was passed over, whose pool had given back all that it had borrowed."""
        self.look_ahead(index.now)

    def look_ahead(self, starts_by: Instant) -> None:
        """See the room that is left for it beside bookings, were it to start then at the latest. Nobody is taken yet."""
        self.starts_by = starts_by
        self._kept = self._backfill.kept(self._gpu_class, self._line.spec, starts_by)
        self._room = RoomAhead(self._table, self._kept)
        self._asked = self._room.asked(self._line.spec.pod)
        self._tally = self._table.tally(self._row, self._room.counts(self._row, self._room.rows))
        self._nodes: dict[int, NodeRoom] = {}
        """Those that somebody taken was on."""

    @contextmanager
    def quotas_restored(self) -> Iterator[None]:
        """What is stopping has given back its quota meanwhile, and so has whoever is taken; afterwards nobody has."""
        quotas = self._index.quotas
        try:
            for pool, gpus in self._candidates.outlook.ending(quotas.root_of[self._lane.key.pool], self._gpu_class):
                self._give_back(pool, gpus)
            yield
        finally:
            for pool, gpus in self._given_back.items():
                quotas.use(pool, self._gpu_class, gpus)
            self._given_back.clear()

    def fits(self) -> bool:
        """Whether there is room and quota for it, with what is stopping and whoever was taken so far gone."""
        key, quotas = self._lane.key, self._index.quotas
        if self._tally.pods < key.pods or quotas.available(key.pool, self._gpu_class) < self._lane.gpus:
            return False
        return self._may_borrow or quotas.over_nominal(key.pool, self._gpu_class, self._lane.gpus) <= 0

    def run(self) -> Found | None:
        """First what elastic attempts have above their minimum, then whole attempts, which may be the same ones."""
        candidates = self._candidates
        given = self._surplus_taken(candidates.in_order(is_shrinking=True)) if candidates.may_shrink else []
        if given and self.fits():
            return self._found(self._given_reduced(given))
        taken = {candidate.attempt.id: candidate for candidate in given}
        stopped = self._greedy(_rest(each, taken) for each in candidates.in_order())
        if not stopped:
            return None
        stopped = self._reduced(stopped)
        whole = {candidate.attempt.id for candidate in stopped}
        given = self._given_reduced([each for each in given if each.attempt.id not in whole])
        return self._found([*given, *(_whole(each, taken) for each in stopped)])

    def run_by_node(self) -> Found | None:
        """Where those who come first have given back all that their pools had borrowed, and it helped nobody: of each node
        only those who make room there. Of them, too, who is elastic gives back what is above its minimum, if that is
        enough."""
        candidates = self._candidates
        by_size = sorted(candidates.in_order(), key=lambda each: each.attempt.gpus)
        found = self._who_make_room(by_size) or self._who_make_room(by_size[::-1])
        given: list[Candidate] = []
        for candidate in [each for each in found.values() if each.attempt.surplus]:
            spared = candidate._replace(gives_back=candidate.attempt.surplus)
            self._take(candidate, -1)
            self._take(spared)
            if self.fits():
                given.append(spared)
            else:
                self._take(spared, -1)
                self._take(candidate)
        shrunk = {each.attempt.id for each in given}
        stopped = self._reduced([each for each in candidates.in_order() if each.attempt.id in found.keys() - shrunk])
        given = self._given_reduced(given)
        return self._found([*given, *stopped]) if found else None

    def _surplus_taken(self, elastic: Iterable[Candidate]) -> list[Candidate]:
        """Of one after the other what is above its minimum, until the preemptor fits; of another pool only what that
        has borrowed."""
        taken: list[Candidate] = []
        for candidate in elastic:
            attempt, surplus = candidate.attempt, candidate.attempt.surplus
            if candidate.rule.is_across:
                borrowed = self._borrowed(attempt.pool)
                surplus = min(surplus, -(-borrowed // max(1, attempt.pod.gpus)))
            if surplus:
                taken.append(candidate._replace(gives_back=surplus))
                self._take(taken[-1])
                if self.fits():
                    break
        return taken

    def _given_reduced(self, given: list[Candidate]) -> list[Candidate]:
        """The last first, each gives back no more pods than the preemptor needs beside what the others do."""
        kept: list[Candidate] = []
        for candidate in reversed(given):
            assert candidate.gives_back is not None, "it is not stopped"
            self._take(candidate, -1)
            fewest = bisect_left(range(candidate.gives_back), True, key=partial(self._fits_with, candidate))
            if fewest:
                kept.append(candidate._replace(gives_back=fewest))
                self._take(kept[-1])
        return kept[::-1]

    def _fits_with(self, candidate: Candidate, pods: int) -> bool:
        """Whether it fits when so many of its pods are given back."""
        given = candidate._replace(gives_back=pods)
        self._take(given)
        is_enough = self.fits()
        self._take(given, -1)
        return is_enough

    def _could_fit(self) -> bool:
        """Whether there would be room if all of them ended; cheap, so that a hopeless search ends here."""
        rows = self._room.without(candidate.part for candidate in self._candidates.everybody())
        return self._table.together(self._row, self._room.counts(self._row, rows)) >= self._lane.key.pods

    def _greedy(self, in_order: Iterable[Candidate]) -> list[Candidate]:
        """Take one after the other until the preemptor fits; none where it never does. Mostly a few are enough: whether
        all of them would be is asked when those were not."""
        chosen: list[Candidate] = []
        for tried, candidate in enumerate(in_order):
            if tried == _TRIED_FIRST and not self._could_fit():
                self.may_others_help = False
                return []
            if not self._is_still_borrowed(candidate):
                self.may_others_help = True
                continue
            self._take(candidate)
            chosen.append(candidate)
            if self.fits():
                return chosen
        return []

    def _who_make_room(self, in_order: list[Candidate]) -> dict[AttemptId, Candidate]:
        """Enough of them, each with others of its node for another pod there; or, where only quota is lacking, in order."""
        is_room_lacking = self._tally.pods < self._lane.key.pods
        together: dict[int, list[Candidate]] = {}
        for candidate in in_order:
            for position, _ in freed_by(candidate.attempt, self._table):
                together.setdefault(position if is_room_lacking else 0, []).append(candidate)
        chosen: dict[AttemptId, Candidate] = {}
        for position, there in together.items():
            pods, taken = self._node(position).pods, dict[AttemptId, Candidate]()
            for candidate in there:
                key = candidate.attempt.id
                if key in chosen or key in taken or not self._is_still_borrowed(candidate):
                    continue
                self._take(candidate)
                taken[key] = candidate
                if self.fits():
                    return chosen | taken
                if self._node(position).pods > pods:
                    pods = self._node(position).pods
                    chosen |= taken
                    taken.clear()
            self._put_back(taken.values())
        self._put_back(chosen.values())
        return {}

    def _put_back(self, taken: Iterable[Candidate]) -> None:
        for candidate in taken:
            self._take(candidate, -1)

    def _reduced(self, chosen: list[Candidate]) -> list[Candidate]:
        """Put back, the last first, whom the preemptor fits without."""
        kept = list(chosen)
        for candidate in reversed(chosen):
            self._take(candidate, -1)
            if self.fits():
                kept.remove(candidate)
            else:
                self._take(candidate)
        return kept

    def _is_still_borrowed(self, candidate: Candidate) -> bool:
        """Of another pool, only what it has borrowed of what both share may be taken."""
        return not candidate.rule.is_across or self._borrowed(candidate.attempt.pool) > 0

    def _borrowed(self, pool: PoolName) -> int:
        return self._index.quotas.borrowed_from(self._lane.key.pool, pool, self._gpu_class)

    def _take(self, candidate: Candidate, sign: int = 1) -> None:
        attempt = candidate.part
        ends_at = latest_end(attempt)
        for position, freed in freed_by(attempt, self._table):
            self._tally.add(position, self._node(position).add(self._room.until(ends_at, freed), sign))
        if attempt.is_funded:
            self._give_back(attempt.pool, sign * attempt.gpus)

    def _node(self, position: int) -> NodeRoom:
        node = self._nodes.get(position)
        if node is None:
            asked = self._asked if self._table.takes_shape(self._row, position) else None
            node = self._nodes[position] = NodeRoom(self._room.rows[:, position].tolist(), asked)
        return node

    def _give_back(self, pool: PoolName, gpus: int) -> None:
        if gpus:
            self._given_back[pool] = self._given_back.get(pool, 0) + gpus
            self._index.quotas.use(pool, self._gpu_class, -gpus)

    def _found(self, victims: list[Candidate]) -> Found:
        pods = self._lane.key.pods
        counts = self._table.counts(self._row)
        if self._kept is not None:
            counts = self._kept.beside(self._table, self._row, counts)
        placement = self._table.placement(self._row, counts, pods)
        if placement is None:  # nothing is free now: where the victims are
            rows = self._room.rows.copy()
            for position, node in self._nodes.items():
                rows[:, position] = node.room
            placement = self._table.placement(self._row, self._room.counts(self._row, rows), pods)
        assert placement is not None, "with the victims gone it fits"
        return Found(
            self._gpu_class,
            placement,
            tuple(victim_of(candidate, self._line) for candidate in victims),
            tuple(candidate.part for candidate in victims),
        )


def _rest(candidate: Candidate, given: Mapping[AttemptId, Candidate]) -> Candidate:
    """What is left of an attempt that has given back its surplus."""
    shrunk = given.get(candidate.attempt.id)
    if shrunk is None or shrunk.gives_back is None:
        return candidate
    attempt = candidate.attempt
    return candidate._replace(attempt=attempt.shrunk_to(attempt.placement.pods - shrunk.gives_back))


def _whole(candidate: Candidate, given: Mapping[AttemptId, Candidate]) -> Candidate:
    """It is stopped: what it would have given back goes with it."""
    shrunk = given.get(candidate.attempt.id)
    return candidate if shrunk is None else candidate._replace(attempt=shrunk.attempt)
