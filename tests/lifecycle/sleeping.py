"""A company whose service sleeps: what its loops do when it wakes, and what its books say then."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, cast

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.funding import Shortfall, fund, payers
from scheduler.domain.observations import ObservedJob, ObservedPod, PodPhase
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Need
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.domain.workloads import AttemptState, Workload
from scheduler.entrypoints.periodic import Periodic
from scheduler.entrypoints.settings import Settings
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.administration import Administration
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.governance.governing import put_policy
from scheduler.lifecycle.memory.prices_ahead import terms_for
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.turning import catch_up, note_heard
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import H100, NOON, OPERATOR, Company, changes, job_seen, pod_seen


class Sleeper:
    """The service of a company: it is there when `come_round` says so, and at no other time."""

    def __init__(self, rules: Policy, store: SqlStore | None = None) -> None:
        self.company = Company(rules, store)
        self.rules = rules
        self.settings = Settings()
        self.unheard: list[ObservedJob | ObservedPod] = []
        self.started: dict[int, tuple[Workload, Instant]] = {}

    @property
    def periodic(self) -> Periodic:
        company = self.company
        clock = cast(Any, SimpleNamespace(is_simulated=False, now=lambda: company.now))
        rest = cast(Any, None)
        return Periodic(
            self.settings, company.store, company.world, clock, company.ids, rest, rest, None, wake=lambda: None
        )

    def restart(self) -> None:
        """Another process, which knows what the books say; its cluster has told it nothing yet."""
        known, world = self.company.world, World()
        with self.company.store.reading() as books:
            world.load(books, self.company.now)
        put_policy(self.company.store, world, self.rules, self.company.now)
        for name, node in known.nodes.items():
            world.put_node(name, node)
        company = self.company
        company.world = world
        company.commands = Commands(company.store, world, company.ids, wake=lambda: None)
        company.administration = Administration(company.store, world, company.ids, wake=lambda: None)

    def come_round(self, now: Instant) -> None:
        """As a start does: the grants, then what the cluster tells, then the rounds of the loops."""
        company = self.company
        company.now = now
        self.periodic._grant_now(now)
        told, self.unheard = changes(*self.unheard, is_relist=False), []
        if company.world.rounds.heard_at is None:
            company.world.rounds.heard_at = Instant(0)  # what is told is all that there is
        catch_up(company.store, company.world, [told], now, renews=True)
        company.see(told)
        note_heard(company.world, [told], now)
        if company.world.attempts:
            self.periodic._keep_now(now)
        self.periodic._grant_now(Instant(now + 1))

    def start(self, number: int, **fields: Any) -> bool:
        """Launch a job now, and let its pods start at once. Returns whether its owner could pay for it."""
        company = self.company
        workload = company.submit(**fields)
        spec, policy = workload.spec, company.world.require_policy()
        terms = terms_for(policy, None, spec, H100, workload.team)
        length = (
            policy.priority_classes[spec.priority_class].slice_ms if is_rolling(policy, spec) else spec.time_limit_ms
        )
        shares = fund(
            payers(company.world.balances.values(), spec, H100, company.now), Need(spec.pod.gpus * length, terms)
        )
        if isinstance(shares, Shortfall) or company.launch(workload, *shares, node=f"n{number}"):
            return False
        company.give_job(workload)
        began = company.now
        company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=began)))
        self.started[number] = workload, began
        return True

    def end(self, number: int, ended: Instant) -> None:
        """The cluster has this to tell when it is asked next."""
        workload, began = self.started[number]
        pod = pod_seen(workload, started_at=began, finished_at=ended, phase=PodPhase.SUCCEEDED)
        live = self.company.world.live_attempt(workload.id)
        assert live is not None
        job = job_seen(workload, is_suspended=False, is_complete=True, ended_at=ended, attempt_id=live.id)
        self.unheard += [job, pod]

    @property
    def is_stopping(self) -> bool:
        return any(each.state is AttemptState.STOPPING for each in self.company.world.attempts.values())


def is_rolling(policy: Policy, spec: Any) -> bool:
    return policy.priority_classes[spec.priority_class].hold.value == "rolling"


@contextmanager
def sleepers(*made: Sleeper) -> Iterator[None]:
    """Their books are in order at the end."""
    with ExitStack() as closing:
        for each in made:
            closing.callback(each.company.close_in_balance)
        yield


def balances(company: Company) -> dict[str, tuple[int, int, int]]:
    """Of every allowance that there ever was: what is available, held, and promised."""
    with company.store.reading() as books:
        return {
            each.allowance.id: (each.available, each.held, each.promised)
            for each in books.allowances.balances()
            if each.available or each.held or each.promised
        }


def sums(company: Company) -> dict[AccountKind, int]:
    """Of all accounts of a kind, in standard time."""
    with company.store.reading() as books:
        found = books.journal.kind_totals(kinds=list(AccountKind), ends_at=Instant(2**60))
    return {kind: amount for kind, amount in found.items() if amount}


_SUMS = (
    "opening",
    "granted",
    "vested",
    "charged",
    "refunded",
    "expired",
    "transferred",
    "closing",
    "held",
    "overrun",
)


def statements(company: Company, periods: Iterable[str], owner: str = "ada") -> dict[str, object]:
    """By period: the sums, those of other units, and the lines. One rollover may be told in several, and of what rolls over
    together, it is not told alike which expired."""
    views = Views(company.store, company.world)
    found: dict[str, object] = {}
    for name in periods:
        view = views.statement(OPERATOR, name, company.now, owner)
        lines: Counter[tuple[str, str]] = Counter()
        for line in view.lines:
            if line.kind != "rollover":
                lines[line.kind, "" if line.kind == "expiry" else line.text] += line.amount
        others = [(each.unit, dict(each.quantities)) for each in view.others]
        found[name] = ({each: getattr(view, each) for each in _SUMS}, others, dict(lines))
    return found


def minutes(count: int) -> Instant:
    """So many after noon."""
    return Instant(NOON + count * MS_PER_MINUTE)
