"""What may happen in a life: what people ask for, what the office does, and what befalls the cluster and the service."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

from scheduler.domain.allowances import Allowance, Holder, HolderKind, Purpose
from scheduler.domain.awards import Award
from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Caller
from scheduler.domain.periods import period_named
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    STANDARD_GPU,
    GpuClassName,
    Instant,
    PriorityClassName,
    ProjectName,
    WorkloadId,
)
from scheduler.domain.vesting import VestingPart
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.asking.submit import SubmissionTerms
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.draw_tokens import TokensAsked
from scheduler.lifecycle.awarding.transfer import Passing
from tests.lives import company
from tests.lives.company import GATEWAY, MACHINES, OFFICE, PROJECTS, TEAMMATE
from tests.lives.life import Life
from tests.lives.months import settled_month

H100, A100 = GpuClassName("H100"), GpuClassName("A100")
CLASSES = ((H100,), (A100,), (H100, A100))
TIME_LIMITS_MS = (60_000, 600_000, 31 * MS_PER_MINUTE + 123, 2 * MS_PER_HOUR, 6 * MS_PER_HOUR)


def wait(life: Life) -> None:
    """Nobody does anything."""


# --- what people ask for -------------------------------------------------------------------------------------------------


def submit_job(life: Life) -> None:
    chance, who = life.chance, _somebody(life)
    pods = chance.choice((1, 1, 2, 3))
    time_limit_ms = chance.choice(TIME_LIMITS_MS)
    spec = WorkloadSpec(
        name="job",
        kind=WorkloadKind.JOB,
        project=_project(life, who),
        gpu_classes=chance.choice(CLASSES),
        priority_class=PriorityClassName(chance.choice(("urgent", "standard", "standard", "off-peak", "off-peak"))),
        time_limit_ms=time_limit_ms,
        pods=pods,
        min_pods=chance.choice((None, 1, 1)) if pods > 1 else None,
        pod=PodRequest(gpus=chance.choice((1, 1, 2, 3, 4)), cpu_milli=1000, memory_mib=1000),
        image="train",
        grace_seconds=chance.choice((0, 5, 30, 30)),
        uses_compensation=chance.random() < 0.3,
        runtime_max_ms=chance.choice((None, None, None, max(time_limit_ms, MS_PER_HOUR))),
    )
    if chance.random() < 0.2:
        terms = SubmissionTerms(array_count=chance.randint(2, 4), at_once=chance.choice((None, 1, 2)))
        life.service.commands.submit(who, replace(spec, pods=1, min_pods=None), now=life.now, terms=terms)
    else:
        life.service.commands.submit(who, spec, now=life.now)


def submit_sandbox(life: Life) -> None:
    chance, who = life.chance, _somebody(life)
    spec = WorkloadSpec(
        name="sandbox",
        kind=WorkloadKind.SANDBOX,
        project=_project(life, who),
        gpu_classes=chance.choice(CLASSES),
        priority_class=PriorityClassName("sandbox"),
        time_limit_ms=chance.choice(TIME_LIMITS_MS),
        pod=PodRequest(gpus=chance.choice((1, 1, 2)), cpu_milli=1000, memory_mib=1000),
    )
    life.service.commands.submit(who, spec, now=life.now)


def cancel(life: Life) -> None:
    life.service.commands.cancel(OFFICE, _some_work(life), now=life.now)


def stop(life: Life) -> None:
    life.service.commands.stop(OFFICE, _some_work(life), now=life.now)


def resume(life: Life) -> None:
    life.service.commands.resume(OFFICE, _some_work(life), now=life.now)


def extend(life: Life) -> None:
    more_ms = life.chance.choice((60_000, MS_PER_HOUR))
    life.service.commands.extend(OFFICE, _some_work(life), more_ms, now=life.now)


def checkpoint(life: Life) -> None:
    life.service.commands.record_checkpoint(OFFICE, _some_work(life), now=life.now)


def book(life: Life) -> None:
    """And submit something that may run in it."""
    chance, who = life.chance, _somebody(life)
    wish = BookingWish(
        chance.choice((H100, A100)),
        chance.choice((1, 2, 4, 8)),
        Instant(life.now + chance.choice((0, 60_000, 30 * MS_PER_MINUTE, 2 * MS_PER_HOUR))),
        chance.choice((10 * MS_PER_MINUTE, MS_PER_HOUR, 5 * MS_PER_HOUR)),
        _project(life, who),
        priority_class=PriorityClassName(chance.choice(("standard", "urgent"))),
    )
    life.service.commands.book(who, wish, now=life.now)
    inside = WorkloadSpec(
        name="inside",
        kind=WorkloadKind.JOB,
        project=wish.project,
        gpu_classes=(wish.gpu_class,),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=chance.choice(TIME_LIMITS_MS),
        image="train",
    )
    life.service.commands.submit(who, inside, now=life.now)


def draw_tokens(life: Life) -> None:
    """A gateway holds, charges once or twice, and releases or leaves it to run out."""
    chance, draws = life.chance, life.service.token_draws
    asked = TokensAsked(
        _somebody(life).subject, "llama", chance.randint(1, 60_000), lasts_ms=chance.choice((1_000, MS_PER_HOUR))
    )
    held = draws.hold(GATEWAY, asked, now=life.now)
    for part in chance.choice(((), (2,), (3, 1))):
        draws.charge(GATEWAY, held.id, max(1, asked.tokens // part), now=life.now)
    if chance.random() < 0.5:
        draws.release(GATEWAY, held.id, now=life.now)


def transfer(life: Life) -> None:
    who = life.who(life.chance.choice(sorted(TEAMMATE)))
    assert who.engineer is not None
    assert who.team is not None
    mate = life.who(TEAMMATE[who.subject]).engineer
    assert mate is not None
    source = _some_allowance(life, Holder(HolderKind.ENGINEER, who.engineer))
    target = life.chance.choice(
        (
            Holder(HolderKind.ENGINEER, mate),
            Holder(HolderKind.TEAM, who.team),
            Holder(HolderKind.PROJECT, PROJECTS[who.team]),
        )
    )
    if source is None:
        return
    into = [None, *(each.id for each in _allowances(life, target))]
    amount = life.chance.randint(1, 5 * MS_PER_HOUR)
    passing = Passing(source.id, target, amount, "not needed", life.chance.choice(into))
    life.service.awards.transfer(who, passing, now=life.now)


# --- what the office does ------------------------------------------------------------------------------------------------


def grant(life: Life) -> None:
    chance, who = life.chance, _somebody(life)
    unit = chance.choice((STANDARD_GPU, STANDARD_GPU, class_unit(H100), money_unit("EUR")))
    most = 20_000_000 if unit == money_unit("EUR") else 5 * MS_PER_HOUR
    award = Award(
        chance.choice(_holders(who)),
        chance.randint(1, most),
        expires_at=chance.choice((None, Instant(life.now + chance.randint(1, 6 * MS_PER_HOUR)))),
        reason="a deadline",
        unit=unit,
    )
    life.service.commands.grant(OFFICE, award, now=life.now)


def compensate(life: Life) -> None:
    """Pay that vests within hours."""
    chance, who = life.chance, _somebody(life)
    assert who.engineer is not None
    at, parts = life.now, []
    for _ in range(chance.choice((1, 2, 3))):
        at = Instant(at + chance.randint(1, 3 * MS_PER_HOUR))
        parts.append(VestingPart(at, chance.randint(1, MS_PER_HOUR)))
    package = Package(
        who.engineer,
        sum(part.amount for part in parts),
        parts=tuple(parts),
        starts_at=life.now,
        reason="pay",
        purposes=frozenset({Purpose.PERSONAL, Purpose.PROJECT}),
    )
    life.service.awards.compensate(OFFICE, package, now=life.now)


def claw_back(life: Life) -> None:
    engineer = _somebody(life).engineer
    assert engineer is not None
    life.service.awards.claw_back(OFFICE, engineer, "gone", now=life.now)


def freeze(life: Life) -> None:
    allowance = _some_allowance(life, _holders(_somebody(life))[0])
    if allowance is not None:
        is_frozen = life.chance.random() < 0.4
        life.service.awards.freeze(OFFICE, allowance.id, "away", is_frozen=is_frozen, now=life.now)


def change_policy(life: Life) -> None:
    """And prices, and people: all that is in force."""
    chance = life.chance
    terms = replace(
        life.terms,
        weight=chance.choice(company.WEIGHTS),
        off_peak_factor=chance.choice(company.FACTORS),
        hours=chance.choice(company.HOURS),
        price=chance.choice(company.PRICES),
        night_price=chance.choice(company.NIGHT_PRICES),
        team_of_bao=chance.choice(("research", "research", "evals")),
        period=chance.choice((life.terms.period, life.terms.period, "day", "week")),
    )
    life.apply_terms(terms)


def close_month(life: Life) -> None:
    """The month in which it began, once that is over; differences are looked at, and written off."""
    month = datetime.fromtimestamp(life.site.starts_at / 1000, UTC).strftime("%Y-%m")
    period = period_named(month, life.terms.zone)
    if period.ends_at > life.now or month in life.closed:
        return
    periods = life.service.periods
    periods.close(OFFICE, month, now=life.now, provisionally=True)
    found = periods.reconciliation(OFFICE, month, life.now)
    if found.unresolved:
        known = Decision(SettlementKind.WRITE_OFF, "known")
        periods.settle(OFFICE, [each.id for each in found.unresolved], known, now=life.now)
    periods.close(OFFICE, month, now=life.now)
    life.closed[month] = settled_month(life, period)


# --- what befalls them ---------------------------------------------------------------------------------------------------


def lose_node(life: Life) -> None:
    """One on which something runs, where there is one."""
    taken = sorted(
        {pod.node for _, pod in life.site.cluster.pods.values() if pod.is_running and pod.node is not None}
    )
    life.site.lose(life.chance.choice(taken or [machine.name for machine in MACHINES]))


def cordon_node(life: Life) -> None:
    life.site.model.cordon(life.chance.choice(MACHINES).name)


def mend_nodes(life: Life) -> None:
    life.site.mend()


def lose_cluster(life: Life) -> None:
    """It is not heard of for a while, or again."""
    life.site.cluster.is_away = not life.site.cluster.is_away


def restart(life: Life) -> None:
    life.begin()


def be_down(life: Life) -> None:
    """Nobody is there for minutes or hours."""
    away_ms = life.chance.choice((60_000, 20 * MS_PER_MINUTE, 3 * MS_PER_HOUR, 9 * MS_PER_HOUR))
    life.site.move(Instant(life.now + away_ms))
    life.begin()


def pause(life: Life) -> None:
    """The process stands still, and goes on as if nothing had been."""
    life.site.move(Instant(life.now + life.chance.choice((60_000, 20 * MS_PER_MINUTE, 3 * MS_PER_HOUR))))


def die_soon(life: Life) -> None:
    """At one of the next commits."""
    life.site.trouble.begin(life.chance.randint(0, 30))


def lose_database(life: Life) -> None:
    """For one commit, or for all that are tried in a while."""
    life.site.trouble.begin(life.chance.randint(0, 30), life.chance.choice((1, 1, 3, 10, 60)))


ACTS: Mapping[Callable[[Life], None], int] = {
    wait: 1,
    submit_job: 16,
    submit_sandbox: 3,
    cancel: 1,
    stop: 1,
    resume: 2,
    extend: 2,
    checkpoint: 1,
    book: 4,
    draw_tokens: 1,
    transfer: 2,
    grant: 3,
    compensate: 1,
    claw_back: 1,
    freeze: 1,
    change_policy: 1,
    close_month: 4,
    cordon_node: 1,
}
"""What happens where nothing fails, and how often each, beside the others."""
TROUBLES: Mapping[Callable[[Life], None], int] = {
    lose_node: 6,
    mend_nodes: 2,
    lose_cluster: 2,
    restart: 1,
    be_down: 1,
    pause: 1,
    die_soon: 3,
    lose_database: 2,
}


@dataclass(frozen=True, slots=True)
class Act:
    """What happens, with what chance of its own, and for how long nothing else does."""

    does: Callable[[Life], None]
    seed: int
    then_ms: int

    def __repr__(self) -> str:
        return f"{self.does.__name__}({self.seed}, then {self.then_ms} ms)"

    def happen(self, life: Life) -> None:
        life.chance = Random(self.seed)
        life.live(self.does)
        life.pass_time(self.then_ms)


def _somebody(life: Life) -> Caller:
    return life.who(life.chance.choice(("ada", "ada", "bao", "ida", "ida", "joe")))


def _project(life: Life, who: Caller) -> ProjectName | None:
    assert who.team is not None
    return ProjectName(PROJECTS[who.team]) if life.chance.random() < 0.9 else None


def _some_work(life: Life) -> WorkloadId:
    """Any that is not over; that of nobody where there is none."""
    known = sorted(life.service.world.workloads)
    return life.chance.choice(known) if known else WorkloadId("nobody's")


def _holders(who: Caller) -> tuple[Holder, ...]:
    assert who.engineer is not None
    assert who.team is not None
    return (
        Holder(HolderKind.ENGINEER, who.engineer),
        Holder(HolderKind.TEAM, who.team),
        Holder(HolderKind.PROJECT, PROJECTS[who.team]),
    )


def _allowances(life: Life, holder: Holder) -> list[Allowance]:
    found = (each.allowance for each in life.service.world.balances.values())
    return sorted((each for each in found if each.holder == holder), key=lambda each: each.id)


def _some_allowance(life: Life, holder: Holder) -> Allowance | None:
    found = _allowances(life, holder)
    return life.chance.choice(found) if found else None
