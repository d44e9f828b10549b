"""A service made by hand for the pages' tests: plausible values, and the edges that a real cluster seldom shows.

What the pages do with the real service is tested in `tests/browser` and in `test_pages_on_the_service.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from scheduler.domain.brakes import Brake, Pause, Stop
from scheduler.domain.errors import NotFound, Refusal, RefusalCode
from scheduler.domain.idleness import CurvePoint
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.policy import Policy
from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import AttemptId, Instant, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.api.auth import hash_of
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.approvals import ApprovalView
from scheduler.lifecycle.views.bookings import BookingView
from scheduler.lifecycle.views.shapes import (
    AttemptView,
    BalanceView,
    ClusterView,
    ExplainView,
    FactorView,
    ObservedView,
    VerdictView,
    WorkloadPage,
    WorkloadView,
)
from scheduler.lifecycle.views.statement_shapes import MonthView, StatementView
from tests.entrypoints.web.sample_asking import bookings, own_approvals, waiting_approvals
from tests.entrypoints.web.sample_books import efficiency, month, statement, versions
from tests.entrypoints.web.sample_cluster import cluster
from tests.entrypoints.web.sample_people import MIN, NOW, PEOPLE, H, policy
from tests.entrypoints.web.sample_values import balance, fallen, my_past, my_workloads, open_balances, queue

CURVE = (
    CurvePoint(Instant(NOW - 3 * MIN), Instant(NOW - 2 * MIN), "active", 800, 100, 600_000),
    CurvePoint(Instant(NOW - 2 * MIN), Instant(NOW - MIN), "unknown"),
    CurvePoint(Instant(NOW - MIN), NOW, "idle-held", 0, 0, 71_000),
)


@dataclass
class SampleViews:
    """Views of the values above; a test replaces what it is about."""

    balance_value: BalanceView = field(default_factory=balance)
    current: tuple[WorkloadView, ...] = field(default_factory=my_workloads)
    past: tuple[WorkloadView, ...] = field(default_factory=my_past)
    cluster_value: ClusterView = field(default_factory=cluster)
    queue_value: tuple[WorkloadView, ...] = field(default_factory=queue)
    verdicts_value: tuple[VerdictView, ...] = field(default_factory=fallen)
    month_value: MonthView = field(default_factory=month)
    statement_value: StatementView = field(default_factory=statement)
    versions_value: list[PolicyVersion] = field(default_factory=versions)
    policy_value: Policy = field(default_factory=policy)
    bookings_value: list[BookingView] = field(default_factory=bookings)
    observed_value: ObservedView = ObservedView(is_observing=False, open_counts={}, items=())

    def me(self, caller: Caller) -> Engineer | None:
        return next((person for person in PEOPLE if person.id == caller.engineer), None)

    def engineers(self, caller: Caller) -> list[Engineer]:
        caller.require(Role.OPERATOR, Role.FINANCE, Role.AUDITOR)
        return list(PEOPLE)

    def balance(self, *_: object, **__: object) -> BalanceView:
        return self.balance_value

    def workloads(self, *_: object, **asked: Any) -> WorkloadPage:
        states = asked.get("states")
        items = [w for w in (*self.current, *self.past) if states is None or WorkloadState(w.state) in states]
        return WorkloadPage(tuple(items), None)

    def explain(self, _: Caller, workload_id: WorkloadId, *__: object) -> ExplainView:
        found = next((w for w in (*self.current, *self.past, *self.queue_value) if w.id == workload_id), None)
        if found is None:
            raise NotFound(f"there is no workload {workload_id!r}", code=RefusalCode.UNKNOWN_WORKLOAD)
        attempt = AttemptView(
            "t-1",
            1,
            "ended",
            "h100",
            ("g-014",),
            16,
            1000,
            1000,
            True,
            True,
            Instant(NOW - 9 * H),
            Instant(NOW - 9 * H + 4000),
            Instant(NOW - 7 * H),
            "Preempted",
            32 * H,
            32 * H,
            0,
        )
        return ExplainView(
            found,
            (
                FactorView("priority class", "standard (500)", "higher is tried first"),
                FactorView("pace band", "6 of 10", "who is behind plan is tried before who burns fast"),
                FactorView("age", "5 h", "first submitted, first tried"),
            ),
            (found.verdict, *fallen()[1:3]),
            (attempt,) if found.attempts else (),
            ("Project aurora: 8.4 h available; h100 only", "Tier, 2026-11: 112.3 h available; project work"),
            curve=CURVE,
        )

    def bookings(self, *_: object) -> list[BookingView]:
        return self.bookings_value

    def cluster(self, *_: object) -> ClusterView:
        return self.cluster_value

    def queue(self, *_: object, limit: int = 100) -> tuple[WorkloadView, ...]:
        return self.queue_value[:limit]

    def verdicts(self, *_: object, limit: int = 50) -> tuple[VerdictView, ...]:
        return self.verdicts_value[:limit]

    def observed(self, *_: object, limit: int = 100) -> ObservedView:
        return replace(self.observed_value, items=self.observed_value.items[:limit])

    def statement(self, *_: object) -> StatementView:
        return self.statement_value

    def month(self, caller: Caller, *_: object) -> MonthView:
        caller.require(Role.FINANCE, Role.AUDITOR, Role.OPERATOR)
        return self.month_value

    def policies(self, *_: object) -> list[PolicyVersion]:
        return self.versions_value

    def policy(self) -> Policy:
        return self.policy_value


@dataclass
class SampleCommands:
    """Remembers what it was asked; refuses with `refusal` where a test gave one."""

    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    refusal: Refusal | None = None
    people: "SamplePeople | None" = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def command(*arguments: Any, **keywords: Any) -> Any:
            if self.refusal is not None:
                raise self.refusal
            self.asked.append((name, arguments, keywords))
            if name == "issue_token" and self.people is not None:
                _, subject, roles, token_hash = arguments
                self.people.add(token_hash, subject, roles)
            return SimpleNamespace(id="w-new")

        return command


@dataclass
class SampleApprovalViews:
    """What waits is somebody else's, what was decided is whoever asks's own."""

    waiting: list[ApprovalView] = field(default_factory=waiting_approvals)
    mine: list[ApprovalView] = field(default_factory=own_approvals)

    def own(self, _: Caller, __: Instant) -> list[ApprovalView]:
        return self.mine

    def listed(self, _: Caller, __: Instant, *, waiting_only: bool = False) -> list[ApprovalView]:
        return self.waiting if waiting_only else [*self.waiting, *self.mine]

    def one(self, _: Caller, name: str, __: Instant) -> ApprovalView:
        return next(each for each in (*self.waiting, *self.mine) if each.id == name)


class SamplePeople:
    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def add(self, token_hash: str, subject: str, roles: frozenset[Role]) -> None:
        person = next(person for person in PEOPLE if person.subject == subject)
        self._callers[token_hash] = Caller(subject, roles, person.id, person.team)

    def caller_of(self, token_hash: str, _: Instant) -> Caller | None:
        return self._callers.get(token_hash)

    def revoke_token(self, token_hash: str) -> None:
        self._callers.pop(token_hash, None)


class SampleService:
    """Stands for bootstrap's Service: what the pages ask of it, and no more."""

    def __init__(self, *, is_demo: bool = True) -> None:
        people = SamplePeople()
        self.people = people
        self.views = SampleViews()
        self.efficiency_value = efficiency()
        self.money = SimpleNamespace(
            efficiency=lambda *_: self.efficiency_value, month=lambda caller, *_: (self.views.month(caller), None)
        )
        self.commands = SampleCommands()
        self.administration = SampleCommands(people=people)
        self.approval_views = SampleApprovalViews()
        self.settings = SimpleNamespace(demo_sign_in=is_demo)
        self.clock = SimpleNamespace(is_simulated=is_demo, now=lambda: NOW)
        self.cluster = SimpleNamespace(is_simulated=is_demo, is_reachable=True)
        self.world = World()
        self.world.policy = policy()
        self.world.put_people(PEOPLE)
        self.world.put_balances(open_balances())
        running = SimpleNamespace(gpus=680, is_booking=False)
        self.world.attempts = {AttemptId("t-1"): running}  # type: ignore[dict-item]  # its GPUs count
        self.ids = SimpleNamespace(new=lambda prefix: f"{prefix}-7k2m9q")
        self.store = SimpleNamespace(reading=self._books, writing=self._books)
        self.tick = 0
        self.last_token = ""

    @contextmanager
    def _books(self) -> Iterator[Any]:
        yield SimpleNamespace(people=self.people)

    def token_of(self, person: Engineer) -> str:
        self.last_token = token = f"allot_sample-token-of-{person.id}"
        self.people.add(hash_of(token), person.subject, person.roles)
        return token

    def pause(self, brake: Brake, why: str) -> None:
        pause = Pause(brake, "otto@example.com", why, Instant(NOW - 12 * MIN))
        self.world.put_brakes(pauses=(*self.world.pauses, pause))

    def reach_stop_rate(self) -> None:
        self.world.put_brakes(stops=(Stop(Brake.RECLAIM, NOW, 40),))

    async def wait_for_tick(self, *_: object) -> int:
        return self.tick
