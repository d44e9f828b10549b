"""A life of the service: what its loops do in a moment, and how it goes on after what befalls it. Nothing sleeps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from random import Random

from scheduler.adapters.policy_files.people import read_people
from scheduler.adapters.policy_files.prices import read_prices
from scheduler.domain.actions import Action, ActionOutcome
from scheduler.domain.errors import Refusal, Unavailable
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, EngineerId, Instant
from scheduler.domain.workloads import Workload
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from scheduler.lifecycle.sensing.meter import Post
from scheduler.metering.wire import inventory_json, window_json
from tests.e2e.dying import Killed
from tests.entrypoints.company import CountedIds
from tests.lives.company import OFFICE, Terms, policy_of
from tests.lives.site import Site

STEPS_MS = (1_000, 60_000, 60_000, 300_000, 300_000)
"""How long the loops may be away between two of their moments."""
INVENTORY_EVERY_MS = MS_PER_HOUR
REST_HOURS_MAX = 12
"""What is booked is charged to its end, and no booking here is longer."""


@dataclass
class Life:
    """`chance` says what happens within a moment; each act brings its own, so that one less changes no other."""

    site: Site
    terms: Terms
    chance: Random
    closed: dict[str, list[object]] = field(default_factory=dict)
    """Of each closed month, everything that counts in it."""
    refused: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = CountedIds()
        self._late: list[ActionOutcome] = []
        self.begin()
        self.apply_terms(self.terms)
        self.service.periodic._grant_now(self.now)
        self.cycle()

    @property
    def now(self) -> Instant:
        return self.site.clock.now()

    def begin(self) -> None:
        """A process that has just started, on what the one before has left."""
        site = self.site
        site.trouble.begin(None)
        self.service: Service = build(
            Settings(cluster=ClusterKind.KUBERNETES, database="sqlite://"),
            store=site.store,
            clock=site.clock,
            cluster=site.cluster,
            ids=self._ids,
            policy_reader=policy_of,
        )
        self._has_listed = False
        self._late.clear()
        self._told_at: Instant | None = None

    def apply_terms(self, terms: Terms) -> None:
        service, now = self.service, self.now
        service.administration.apply_policy(OFFICE, terms.policy, policy_of(terms.policy, "policy"), now=now)
        service.administration.apply_people(OFFICE, read_people(terms.people, "people", self._id_of), now=now)
        service.pricing.apply(OFFICE, terms.prices, read_prices(terms.prices, "prices"), corrects=True, now=now)
        self.site.cluster.use_gpu_classes(service.world.require_policy().gpu_classes)
        self.terms = terms

    def who(self, subject: str) -> Caller:
        known = self.service.world.by_subject[subject]
        return Caller(subject, known.roles, known.id, known.team)

    # what passes

    def live(self, act: Callable[["Life"], object]) -> None:
        """Do it: it may be refused, the process may die of it, or the database may not answer."""
        try:
            act(self)
        except Refusal as refusal:
            self.refused[refusal.code.value] = self.refused.get(refusal.code.value, 0) + 1
        except Killed:
            self.begin()

    def pass_time(self, milliseconds: int) -> None:
        until = Instant(self.now + milliseconds)
        while self.now < until:
            self.site.move(Instant(min(until, self.now + self.chance.choice(STEPS_MS))))
            self.live(Life.cycle)
            for job in self._periodic():
                self.live(job)

    def cycle(self) -> None:
        """Look, think and act until there is nothing more to do; answers may come late."""
        for _ in range(2):
            self._hear()
            if not self._think():
                break

    def _hear(self) -> None:
        site, inbox = self.site, self.service.cycle._inbox
        site.cluster.account_for(self.service.world.take_relaunched())
        if self._late and self.chance.random() < 0.6:
            inbox.outcomes += self._late
            self._late.clear()
        if site.cluster.is_away:
            return
        lists_all = not self._has_listed or self.chance.random() < 0.02
        changes = site.model.relist() if lists_all else site.model.drain()
        self._has_listed = True
        if not changes.is_empty:
            inbox.changes += [changes] * self.chance.choice((1, 1, 1, 1, 2))

    def _think(self) -> int:
        """Returns how many calls it made. What it had sent when it died was carried out in part, and never answered."""
        cycle, sent = self.service.cycle, list[Action]()
        inbox = cycle._inbox.take()
        try:
            cycle._think(inbox, self.now, sent.extend)
        except Unavailable:
            cycle._inbox.put_back(inbox)
            self._carry_out(sent)
            raise
        except Killed:
            self._carry_out(sent[: self.chance.randint(0, len(sent))])
            raise
        self._carry_out(sent)
        return len(sent)

    def _carry_out(self, sent: list[Action]) -> None:
        site = self.site
        site.cluster.account_for(self.service.world.take_relaunched())
        for action in sent:
            answers = self._late if self.chance.random() < 0.1 else self.service.cycle._inbox.outcomes
            answers.append(site.cluster.carry_out(action))

    def _periodic(self) -> list[Callable[["Life"], object]]:
        """What is done beside the cycle, in any order; any of it may be late."""
        due: list[Callable[[Life], object]] = [
            lambda life: life.service.periodic._grant_now(life.now),
            lambda life: life._keep(),
            lambda life: life.service.periodic._judge_now(life.now),
            lambda life: life.service.periodic._reclaim_now(life.now),
            lambda life: life.service.census.run(life.now) if life.service.world.nodes else None,
            lambda life: life._post_windows(),
        ]
        self.chance.shuffle(due)
        return [job for job in due if self.chance.random() > 0.15]

    def _keep(self) -> None:
        if self.service.periodic._is_heard(self.now):
            self.service.periodic._keep_now(self.now)

    def _post_windows(self) -> None:
        site, meter, now = self.site, self.service.meter, self.now
        if not self.service.world.nodes:
            return
        if self._told_at is None or now - self._told_at >= INVENTORY_EVERY_MS:
            for told in site.agents.inventories(now):
                caller = Caller(f"node:{told.node}", frozenset({Role.AGENT}), node=told.node)
                meter.accept_inventory(caller, told.node, inventory_json(told), now=now)
            self._told_at = now
        if not site.unsent:
            return
        of_nodes = groupby(sorted(site.unsent, key=lambda each: (each.node, each.end)), key=lambda each: each.node)
        meter.accept_all(
            [Post(node, site.agents.boot_id, [window_json(each) for each in some]) for node, some in of_nodes],
            now=now,
        )
        site.unsent.clear()

    # its end

    def come_to_rest(self) -> None:
        """Nothing fails any more, everything that is left is cancelled, and comes to its end."""
        self.site.cluster.is_away = False
        self.site.mend()
        self.begin()
        self.pass_time(30 * MS_PER_MINUTE)
        for workload in self._left():
            self.live(lambda life, each=workload: life.service.commands.cancel(OFFICE, each.id, now=life.now))  # type: ignore[misc]
        for _ in range(REST_HOURS_MAX):
            self.pass_time(MS_PER_HOUR)
            if not self._left():
                break

    def _left(self) -> list[Workload]:
        with self.site.store.reading() as books:
            return books.workloads.unfinished()

    def _id_of(self, subject: str) -> EngineerId:
        known = self.service.world.by_subject.get(subject)
        return known.id if known is not None else EngineerId(self._ids.new("e"))
