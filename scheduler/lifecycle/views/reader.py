"""The reader: every view behind the question of who asks. Balances, pace and efficiency are pay data."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from scheduler.decision.state import Explanation, State
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.policy import Policy
from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import MS_PER_DAY, EngineerId, Instant, NodeName, TeamName, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadSpec, WorkloadState
from scheduler.lifecycle.asking.submit import SubmissionTerms
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.period_names import period_of, period_or_day
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.agents import AgentView, agent_views
from scheduler.lifecycle.views.audit_events import AuditEventView, audit_event_view
from scheduler.lifecycle.views.balances import balance_view, payers_told
from scheduler.lifecycle.views.bookings import BookingView, booking_of, bookings_of
from scheduler.lifecycle.views.cluster import cluster_view
from scheduler.lifecycle.views.conservation import ConservationView, conservation_view
from scheduler.lifecycle.views.factors import order_factors
from scheduler.lifecycle.views.gpu_conservation import GpuConservationView, gpu_conservation_view
from scheduler.lifecycle.views.grant_values import grant_values, package_values
from scheduler.lifecycle.views.misuses import Misuses, misuses_since
from scheduler.lifecycle.views.months import SEES_MONTH, month_view
from scheduler.lifecycle.views.owners import (
    SEES_ALL,
    SEES_MONEY,
    engineer_for,
    owner_for,
    sees_pay_of,
    sees_work_of,
    whose_work,
)
from scheduler.lifecycle.views.quote_shapes import QuoteView
from scheduler.lifecycle.views.quotes import as_submitted, quote_view, quote_view_of
from scheduler.lifecycle.views.resting import Resting, reclaims, resting
from scheduler.lifecycle.views.shapes import (
    BalanceView,
    ClusterView,
    ExplainView,
    ObservedView,
    VerdictView,
    WorkloadPage,
    WorkloadView,
)
from scheduler.lifecycle.views.statement_shapes import MonthView, StatementView
from scheduler.lifecycle.views.statements import LINES_MAX, statement_view
from scheduler.lifecycle.views.usage import curve_view, idle_view, readings, usage_views
from scheduler.lifecycle.views.usage_shapes import ReclaimView
from scheduler.lifecycle.views.workloads import (
    attempt_views,
    fresh_view,
    unfinished,
    verdict_view,
    workload_views,
)
from scheduler.metering.refusals import RefusedSample
from scheduler.ports import Books, Store

NAMES_LOOKED_AT = 500
"""A name means the latest workload of that name among so many."""

MISUSES_SHOWN_MS = 31 * MS_PER_DAY


class Views:
    """`state` is the decision's memory: the queue's order and the factors behind it are read from there."""

    def __init__(self, store: Store, world: World, *, is_simulated: bool = False) -> None:
        self._store = store
        self._world = world
        self._is_simulated = is_simulated
        self.state: State = State()

    # workloads

    def workload(self, caller: Caller, workload_id: WorkloadId, now: Instant) -> WorkloadView:
        with self._store.reading() as books:
            workload = self._seen(books, caller, workload_id)
            view = self._view(books, caller, workload, now)
            return self._with_readings(caller, workload, view, now)

    def quote(
        self,
        caller: Caller,
        asked: tuple[WorkloadSpec, SubmissionTerms],
        now: Instant,
        owner: EngineerId | None = None,
    ) -> QuoteView:
        """What would become of it, were it submitted now; refused where it would be. Their pay data, so their own."""
        engineer, (spec, terms) = engineer_for(self._world, caller, owner), asked
        with self._store.reading() as books:
            judged = as_submitted(self._world, books, spec, terms, engineer, now)
        return quote_view(self._world, self.state, engineer, judged, now, terms)

    def submitted(self, caller: Caller, workload: Workload, now: Instant) -> WorkloadView:
        """The answer to a submission: read from the books only where it answers an earlier one again."""
        if workload.version > 1 or workload.id in self._world.verdicts:
            return self.workload(caller, workload.id, now)
        return fresh_view(self._world, workload, now)

    def workloads(
        self,
        caller: Caller,
        now: Instant,
        *,
        owner: EngineerId | None = None,
        team: TeamName | None = None,
        states: Sequence[WorkloadState] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> WorkloadPage:
        """Newest first. An engineer sees their own; a lead their team's; operators and auditors everybody's."""
        owner, team = whose_work(caller, owner, team)
        with self._store.reading() as books:
            if cursor is None and states is not None and not any(state.is_final for state in states):
                found = unfinished(self._world, states, owner, team)[: limit + 1]
            else:
                found = books.workloads.page(owner=owner, team=team, states=states, before=cursor, limit=limit + 1)
            views = self._workload_views(books, caller, found[:limit], now)
            items = tuple(
                self._with_readings(caller, workload, replace(view, rank=self._rank(workload)), now)
                for workload, view in zip(found, views, strict=False)
            )
        last = found[limit - 1] if len(found) > limit else None
        return WorkloadPage(items, f"{last.submitted_at}|{last.id}" if last is not None else None)

    def explain(self, caller: Caller, workload_id: WorkloadId, now: Instant) -> ExplainView:
        with self._store.reading() as books:
            workload = self._seen(books, caller, workload_id)
            view = self._view(books, caller, workload, now)
            sees_pay = sees_pay_of(caller, workload.owner)
            verdicts = books.verdicts.of_workload(workload.id)
            sees_use = self._may_see_use(caller, workload.owner)
            attempts = books.attempts.of_workload(workload.id) if sees_use else []
            last = attempts[-1] if attempts else None
            return ExplainView(
                workload=self._with_readings(caller, workload, view, now),
                factors=order_factors(self._explanation(workload), sees_pay=sees_pay),
                verdicts=tuple(
                    verdict_view(self._world, verdict, workload.spec.name, sees_pay=sees_pay) for verdict in verdicts
                ),
                attempts=attempt_views(books, workload.id, now, sees_pay=sees_pay),
                payers=payers_told(books, self._world, workload, now) if sees_pay else (),
                usage=usage_views(books, self._world, attempts, now),
                curve=curve_view(books, last, now) if last is not None else (),
                forecast=self._forecast(caller, workload, now),
                idle=idle_view(books, self._world, workload, last, now) if sees_use else None,
            )

    def bookings(self, caller: Caller, now: Instant) -> list[BookingView]:
        with self._store.reading() as books:
            return bookings_of(books, self._world, caller, now)

    def booking(self, caller: Caller, booking_id: WorkloadId, now: Instant) -> BookingView:
        with self._store.reading() as books:
            return booking_of(books, self._world, caller, booking_id, now)

    def queue(self, caller: Caller, now: Instant, limit: int = 100) -> tuple[WorkloadView, ...]:
        """In the order in which it will be tried. Names of people are for operators."""
        shows_name = caller.has(*SEES_ALL)
        with self._world.deciding:
            order = self.state.queue(limit=limit) if self._world.policy is not None else []
        ranks = {workload_id: rank for rank, workload_id in enumerate(order, start=1)}
        known = [found for workload_id in order if (found := self._world.workloads.get(workload_id)) is not None]
        with self._store.reading() as books:
            views = self._workload_views(books, caller, known, now)
        return tuple(
            replace(view, rank=ranks[workload.id], owner_name=view.owner_name if shows_name else "")
            for workload, view in zip(known, views, strict=True)
        )

    def verdicts(self, caller: Caller, *, after_seq: int = 0, limit: int = 50) -> tuple[VerdictView, ...]:
        """As they fell, newest first; an engineer sees those on their own work."""
        with self._store.reading() as books:
            found = books.verdicts.recent(after_seq=after_seq, limit=limit)
            seen = []
            for verdict in found:
                workload = self._world.workloads.get(verdict.workload_id) or books.workloads.get(verdict.workload_id)
                if workload is not None and (caller.has(*SEES_ALL) or workload.owner == caller.engineer):
                    sees_pay = sees_pay_of(caller, workload.owner)
                    seen.append(verdict_view(self._world, verdict, workload.spec.name, sees_pay=sees_pay))
        return tuple(seen)

    # money

    def balance(self, caller: Caller, now: Instant, owner: EngineerId | None = None) -> BalanceView:
        engineer = engineer_for(self._world, caller, owner)
        with self._store.reading() as books:
            return balance_view(books, self._world, engineer, now)

    def statement(
        self, caller: Caller, period: str | None, now: Instant, owner: str | None = None, lines_max: int = LINES_MAX
    ) -> StatementView:
        whose = owner_for(self._world, caller, owner)
        found = period_of(self._world, period, now)
        with self._store.reading() as books:
            return replace(
                statement_view(books, self._world.price_book, whose, found, self._world.people, lines_max),
                packages=package_values(books, self._world, whose, found, now),
                grants=grant_values(books, self._world, whose, found, now),
            )

    def month(self, caller: Caller, period: str | None, now: Instant) -> MonthView:
        caller.require(*SEES_MONTH)
        with self._store.reading() as books:
            return month_view(books, self._world, period_of(self._world, period, now), now)

    def conservation(self, caller: Caller, period: str | None, now: Instant) -> ConservationView:
        """Where every GPU-hour of capacity went; the present day where no period is named."""
        caller.require(Role.FINANCE, *SEES_ALL)
        found = period_or_day(self._world, period, now)
        with self._store.reading() as books:
            return conservation_view(books, found, now)

    def gpu_conservation(
        self, caller: Caller, node: NodeName, period: str | None, now: Instant
    ) -> GpuConservationView:
        """The same of a node's single GPUs, hour by hour. Raises NotFound for a node that nobody knows."""
        caller.require(Role.FINANCE, *SEES_ALL)
        found = period_or_day(self._world, period, now)
        with self._store.reading() as books:
            return gpu_conservation_view(books, node, found, now)

    # the platform

    def cluster(self, caller: Caller, now: Instant) -> ClusterView:
        return cluster_view(
            self._world,
            now,
            is_simulated=self._is_simulated,
            shows_work=lambda attempt: sees_work_of(caller, attempt.owner, attempt.team),
            shows_owner=caller.has(*SEES_ALL),
        )

    def observed(self, caller: Caller, *, after_seq: int = 0, limit: int = 100) -> ObservedView:
        """What would have been done, where this process only observes; an engineer sees what concerns their own."""
        feed = self._world.observed
        if feed is None:
            return ObservedView(False, {}, ())
        counts = {would.value: count for would, count in feed.open_counts().items()}
        if caller.has(*SEES_ALL):
            return ObservedView(True, counts, tuple(feed.items(after_seq=after_seq, limit=limit)))
        own = feed.items(after_seq=after_seq, limit=limit, owner=caller.engineer) if caller.engineer else ()
        return ObservedView(True, counts, tuple(own))

    def policy(self) -> Policy:
        return self._world.require_policy()

    def policies(self, caller: Caller, limit: int = 50) -> list[PolicyVersion]:
        del caller
        with self._store.reading() as books:
            found = books.control.policies(limit)
        return [replace(version, applied_by=named(self._world, version.applied_by)) for version in found]

    def engineers(self, caller: Caller) -> list[Engineer]:
        caller.require(Role.OPERATOR, Role.PEOPLE, Role.FINANCE, Role.AUDITOR, Role.LEAD)
        people = sorted(self._world.people.values(), key=lambda engineer: engineer.subject)
        if caller.has(*SEES_ALL, *SEES_MONEY):
            return people
        return [engineer for engineer in people if engineer.team == caller.team]

    def me(self, caller: Caller) -> Engineer | None:
        return self._world.people.get(caller.engineer) if caller.engineer is not None else None

    def audit(
        self, caller: Caller, *, target: str | None = None, before_seq: int | None = None, limit: int = 100
    ) -> list[AuditEventView]:
        caller.require(Role.AUDITOR)
        with self._store.reading() as books:
            found = books.control.events(target=target, before_seq=before_seq, limit=limit)
        return [audit_event_view(self._world, event) for event in found]

    def agents(self, caller: Caller, now: Instant) -> tuple[AgentView, ...]:
        """How the sensing of each node does."""
        caller.require(*SEES_ALL)
        with self._store.reading() as books:
            return agent_views(books, self._world, now)

    def reclaims(self, caller: Caller, limit: int = 100) -> tuple[ReclaimView, ...]:
        """What was due by the idle rules, taken or not, the latest first: what a dry run is read from."""
        caller.require(*SEES_ALL)
        with self._store.reading() as books:
            return reclaims(books, self._world, limit)

    def resting(self, caller: Caller, now: Instant, limit: int = 100) -> Resting:
        """Who rests now, and what was due of late."""
        caller.require(*SEES_ALL)
        with self._store.reading() as books:
            return resting(books, self._world, now, limit)

    def refused_samples(self, caller: Caller, limit: int = 100) -> list[RefusedSample]:
        caller.require(*SEES_ALL)
        with self._store.reading() as books:
            return books.samples.refusals(limit)

    def misuses(self, caller: Caller, now: Instant, limit: int = 100) -> Misuses:
        """Those of the last month."""
        caller.require(*SEES_ALL)
        with self._store.reading() as books:
            return misuses_since(books, self._world, Instant(now - MISUSES_SHOWN_MS), limit)

    def _seen(self, books: Books, caller: Caller, workload_id: WorkloadId) -> Workload:
        """The workload, by id or as the caller's latest of that name, where the caller may see it.

        To anybody else it does not exist.
        """
        workload = self._world.workloads.get(workload_id) or books.workloads.get(workload_id)
        if workload is None and caller.engineer is not None:
            latest = books.workloads.page(owner=caller.engineer, limit=NAMES_LOOKED_AT)
            workload = next((item for item in latest if item.spec.name == workload_id), None)
        if workload is not None and sees_work_of(caller, workload.owner, workload.team):
            return workload
        raise NotFound(
            f"there is no workload {workload_id!r}", code=RefusalCode.UNKNOWN_WORKLOAD, remedy="see `allot list`"
        )

    def _view(self, books: Books, caller: Caller, workload: Workload, now: Instant) -> WorkloadView:
        (view,) = self._workload_views(books, caller, [workload], now)
        return replace(view, rank=self._rank(workload))

    def _workload_views(
        self, books: Books, caller: Caller, workloads: Sequence[Workload], now: Instant
    ) -> list[WorkloadView]:
        waiting = [workload.id for workload in workloads if workload.state is WorkloadState.QUEUED]
        with self._world.deciding:
            told = [self.state.verdict_now(workload_id) for workload_id in waiting]
        present = {verdict.workload_id: verdict for verdict in told if verdict is not None}
        return workload_views(books, self._world, workloads, now, partial(sees_pay_of, caller), present)

    def _may_see_use(self, caller: Caller, owner: EngineerId) -> bool:
        """Efficiency is pay data too; whoever runs the platform sees every GPU anyway."""
        return sees_pay_of(caller, owner) or caller.has(*SEES_ALL)

    def _with_readings(self, caller: Caller, workload: Workload, view: WorkloadView, now: Instant) -> WorkloadView:
        attempt = self._world.live_attempt(workload.id)
        if attempt is None or not self._may_see_use(caller, workload.owner):
            return view
        found = readings(self._world, attempt, now)
        return replace(
            view,
            utilization_percent=found.utilization_percent,
            power_watts=found.power_watts,
            memory_used_bytes=found.memory_used_bytes,
            idle_since=self._world.readings.idle_since.get(attempt.id),
        )

    def _rank(self, workload: Workload) -> int | None:
        explanation = self._explanation(workload)
        return explanation.rank or None if explanation is not None else None

    def _forecast(self, caller: Caller, workload: Workload, now: Instant) -> QuoteView | None:
        if workload.state is not WorkloadState.QUEUED or not sees_pay_of(caller, workload.owner):
            return None
        policy, spec = self._world.policy, workload.spec
        if policy is None or not policy.has_classes_of(spec.priority_class, spec.gpu_classes):
            return None
        return quote_view_of(self._world, self.state, workload, now)

    def _explanation(self, workload: Workload) -> Explanation | None:
        if workload.state is not WorkloadState.QUEUED or self._world.policy is None:
            return None
        with self._world.deciding:
            return self.state.explain(workload.id)
