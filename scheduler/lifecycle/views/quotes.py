"""Quotes: would it run now, what does it cost, when else, and what would make it run sooner. Nothing is submitted."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scheduler.decision.foreseeing.foreseen import Band, Forecast
from scheduler.decision.ordering.hours import need_at_launch
from scheduler.decision.state import State
from scheduler.domain.allowances import Allowance, AllowanceBalance, HolderKind, holders_for
from scheduler.domain.errors import Refusal
from scheduler.domain.funding import FundingShare, Shortfall, fund, payers, spendable_standard
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.reasons import next_step
from scheduler.domain.terms import Need
from scheduler.domain.topology import TopologyMode
from scheduler.domain.units import (
    MS_PER_MINUTE,
    STANDARD_GPU,
    EngineerId,
    GpuClassName,
    Instant,
    WorkloadId,
    standard_needed,
)
from scheduler.domain.wording import counted, lasting
from scheduler.domain.workloads import Workload, WorkloadSpec
from scheduler.lifecycle.asking.confirming import confirmation_needed
from scheduler.lifecycle.asking.following import with_conditions
from scheduler.lifecycle.asking.judge import judge, new_workload, with_defaults
from scheduler.lifecycle.asking.paying import balances_for
from scheduler.lifecycle.asking.submit import AS_IT_IS, SubmissionTerms, judge_for, require_room_for
from scheduler.lifecycle.memory.named import sentence_named
from scheduler.lifecycle.memory.prices_ahead import terms_for
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.balances import allowance_name
from scheduler.lifecycle.views.quote_shapes import ClassView, PayerView, QuoteView, SoonerView
from scheduler.ports import Books

ASKED_ABOUT = WorkloadId("quote")
SOONER_MAX = 4


def as_submitted(
    world: World, books: Books, spec: WorkloadSpec, terms: SubmissionTerms, owner: Engineer, now: Instant
) -> WorkloadSpec:
    """The spec as `submit` would queue it; refused where that would be. What runs in it is not what is asked: a quote needs
    no image."""
    policy = world.require_policy()
    filled = with_defaults(replace(spec, image=spec.image or policy.images[0]), policy)
    judge_for(world, books, filled, owner, now)
    asked = with_conditions(books.workloads.get, filled, owner, terms.earliest(now))
    require_room_for(world, owner, terms.array_count or 1)
    return asked


def quote_view(
    world: World,
    state: State,
    owner: Engineer,
    spec: WorkloadSpec,
    now: Instant,
    terms: SubmissionTerms = AS_IT_IS,
) -> QuoteView:
    """Of something that was not submitted, and that `submit` would take; of an array, of its first index, and the cost of
    all."""
    workload = new_workload(spec, owner, workload_id=ASKED_ABOUT, namespace="", now=now)
    found = _quote(world, state, terms.held_back(workload), now, indexes=terms.array_count or 1)
    found = replace(found, at_once=terms.at_once)
    asks = None if terms.is_confirmed else confirmation_needed(world, spec, terms.asked_for, owner, now)
    return found if asks is None else replace(found, confirmation=f"It takes a confirmation (--yes): {asks.message}.")


def quote_view_of(world: World, state: State, workload: Workload, now: Instant) -> QuoteView:
    """Of what waits in the queue."""
    return _quote(world, state, workload, now)


def _quote(world: World, state: State, workload: Workload, now: Instant, *, indexes: int = 1) -> QuoteView:
    usual = world.past_use.usual_share
    with world.deciding:
        found = state.forecast(workload, usual)
        if found is None:
            found = Forecast.unknown(workload)
        sooner = () if found.starts_now else tuple(_sooner(world, state, (workload, indexes), found, now))
    classes = tuple(_of_each_class(world, (workload, indexes), found, now))
    chosen = next(each for each in classes if each.gpu_class == found.gpu_class)
    gpu_class = found.gpu_class
    ordered = _ordered(world, workload, gpu_class, now)
    held_pods, need = _need(world, workload, gpu_class, ordered, now)
    shares = fund(ordered, need)
    is_paid_for = found.booking_id is not None
    is_held = not is_paid_for and not (found.starts_now and isinstance(shares, Shortfall))
    available = spendable_standard(ordered, need)
    return QuoteView(
        starts_now=found.starts_now,
        reason=found.ruling.reason,
        sentence=sentence_named(world, found.ruling.reason, found.ruling.evidence),
        next_step=next_step(found.ruling.reason, found.ruling.evidence),
        gpu_class=gpu_class,
        starts_from=found.starts[0] if found.starts else None,
        starts_until=found.starts[1] if found.starts else None,
        victims=found.victims,
        asked=chosen.asked,
        held=need.standard if is_held else 0,
        available=available,
        overdraft=available - spendable_standard((each.without_overdraft for each in ordered), need),
        payers=() if is_paid_for or isinstance(shares, Shortfall) else _payers(world, ordered, shares, need),
        cost_micro=chosen.cost_micro,
        currency=world.price_book.currency if world.price_book is not None else "",
        usual_per_mille=usual,
        sooner=sooner,
        classes=classes,
        warning=sentence_named(world, found.warning.reason, found.warning.evidence) if found.warning else "",
        indexes=indexes,
        held_pods=held_pods if is_held and workload.spec.min_pods is not None else None,
        booking_id=found.booking_id or "",
    )


def _of_each_class(world: World, asked: tuple[Workload, int], found: Forecast, now: Instant) -> Iterator[ClassView]:
    """Those on which it may be the first to find room; where no room is known, all. Inside a booking it costs nothing."""
    (workload, indexes), is_paid_for = asked, found.booking_id is not None
    for name, band in found.choices or ((name, None) for name in workload.spec.gpu_classes):
        first, last = band or (None, None)
        yield ClassView(
            name,
            first,
            last,
            asked=0 if is_paid_for else indexes * _asked(world.require_policy(), workload.spec, name),
            cost_micro=0 if is_paid_for else _cost(world, workload, (name, band or (now, now)), indexes),
        )


def _sooner(
    world: World, state: State, asked: tuple[Workload, int], found: Forecast, now: Instant
) -> Iterator[SoonerView]:
    """Changes that would be taken, and would start before the band of what was asked for, the soonest first. What waits
    already would be submitted anew for them, as young as what was not submitted yet, and cancelled."""
    policy, (workload, indexes) = world.require_policy(), asked
    views = []
    for change, spec in alternatives(world, workload, found):
        if not _would_be_taken(world, workload, spec, now):
            continue
        other = replace(workload, id=ASKED_ABOUT, spec=spec, submitted_at=now)
        seen = state.forecast(other, world.past_use.usual_share, None if workload.id == ASKED_ABOUT else workload.id)
        if seen is None or seen.starts is None or (found.starts is not None and seen.starts[1] >= found.starts[1]):
            continue
        views.append(
            SoonerView(
                change,
                seen.starts_now,
                *seen.starts,
                asked=indexes * _asked(policy, spec, seen.gpu_class),
                cost_micro=_cost(world, other, (seen.gpu_class, seen.starts), indexes),
            )
        )
    yield from sorted(views, key=lambda view: (view.starts_until or 0, view.asked))[:SOONER_MAX]


def _would_be_taken(world: World, workload: Workload, spec: WorkloadSpec, now: Instant) -> bool:
    """Whether its owner could submit that: of this kind of work, with the rights and the grace that it has."""
    owner = world.people.get(workload.owner)
    if owner is None:
        return False
    balances = balances_for(world, spec, workload.owner, workload.team)
    try:
        judge(spec, owner, world.require_policy(), list(world.nodes.values()), balances, now)
    except Refusal:
        return False
    return True


def alternatives(world: World, workload: Workload, found: Forecast) -> Iterator[tuple[str, WorkloadSpec]]:
    """Another GPU class, fewer GPUs, a shorter limit, a higher class: whether it would be taken or not."""
    policy, spec = world.require_policy(), workload.spec
    for name in sorted(policy.gpu_classes):
        if name not in spec.gpu_classes:
            yield f"GPU class {name}", replace(spec, gpu_classes=(name,))
    if spec.topology is not None and spec.topology.is_required and spec.pods > 1:
        preferred = replace(spec.topology, mode=TopologyMode.PREFER)
        yield f"{preferred} instead of {spec.topology}", replace(spec, topology=preferred)
    least = spec.pods_at_least
    if spec.min_pods is not None and least > 1:
        yield f"at least {counted(least // 2, 'pod')} instead of {least}", replace(spec, min_pods=least // 2)
    elif spec.pods > 1 and least == spec.pods:
        yield f"{counted(spec.pods // 2, 'pod')} instead of {spec.pods}", replace(spec, pods=spec.pods // 2)
    elif spec.pod.gpus > 1:
        fewer = spec.pod.gpus // 2
        yield f"{counted(fewer, 'GPU')} instead of {spec.pod.gpus}", replace(spec, pod=replace(spec.pod, gpus=fewer))
    for limit_ms in sorted(_shorter(spec.time_limit_ms, found.latest_limit_ms)):
        yield f"a time limit of {lasting(limit_ms)}", replace(spec, time_limit_ms=limit_ms)
    mine = policy.priority_classes[spec.priority_class].value
    for priority_class in sorted(policy.priority_classes.values(), key=lambda each: each.value):
        if priority_class.value > mine:
            times = priority_class.class_factor / policy.priority_classes[spec.priority_class].class_factor
            price = f", at {times:g} times the hours" if times != 1 else ""
            yield f"priority class {priority_class.name}{price}", replace(spec, priority_class=priority_class.name)


def _shorter(limit_ms: int, fits_ms: int | None) -> set[int]:
    """Half the limit; and, in whole minutes, what would be gone in time for whoever is ahead."""
    shorter = {limit_ms // 2}
    if fits_ms is not None:
        shorter.add(fits_ms // MS_PER_MINUTE * MS_PER_MINUTE)
    return {limit for limit in shorter if MS_PER_MINUTE <= limit < limit_ms}


def _asked(policy: Policy, spec: WorkloadSpec, gpu_class: GpuClassName) -> int:
    factor = policy.priority_classes[spec.priority_class].class_factor
    return standard_needed(spec.gpus * spec.time_limit_ms, policy.gpu_classes[gpu_class].weight, factor)


def _ordered(world: World, workload: Workload, gpu_class: GpuClassName, now: Instant) -> list[AllowanceBalance]:
    holders = set(holders_for(workload.owner, workload.team, workload.spec.project))
    known = [b for b in list(world.balances.values()) if b.allowance.holder in holders]
    return payers(known, workload.spec, gpu_class, now)


def _need(
    world: World, workload: Workload, gpu_class: GpuClassName, ordered: Sequence[AllowanceBalance], now: Instant
) -> tuple[int, Need]:
    """Of how many of its pods, and what is held when it starts: as many as can be paid for, its fewest where none can."""
    policy, spec = world.require_policy(), workload.spec
    charged = terms_for(policy, world.prices_at(now), spec, gpu_class, workload.team)
    priority_class = policy.priority_classes[spec.priority_class]

    def of(pods: int) -> Need:
        return need_at_launch(replace(spec, pods=pods), priority_class, charged)

    more = range(spec.pods_at_least + 1, spec.pods + 1)
    unpaid = bisect_left(more, True, key=lambda pods: isinstance(fund(ordered, of(pods)), Shortfall))
    held_pods = spec.pods_at_least + unpaid
    return held_pods, of(held_pods)


def _payers(
    world: World, ordered: Sequence[AllowanceBalance], shares: Sequence[FundingShare], need: Need
) -> tuple[PayerView, ...]:
    """Who would be held from, each in its own unit."""
    by_id = {balance.allowance.id: balance.allowance for balance in ordered}
    return tuple(_payer(world, by_id[share.allowance_id], share, need) for share in shares)


def _payer(world: World, allowance: Allowance, share: FundingShare, need: Need) -> PayerView:
    amount, terms = share.amount, ""
    if share.draw is not None and share.draw.unit == STANDARD_GPU:
        standard = need.standard_of(share.draw.lasts(amount, need.gpu_ms))
        terms = f"for {quantity_text(standard, STANDARD_GPU)} at the terms of its grant"
    return PayerView(
        allowance.id,
        _whose(world, allowance),
        allowance.source.value,
        unit_label(allowance.unit),
        amount,
        quantity_text(amount, allowance.unit),
        terms,
    )


def _whose(world: World, allowance: Allowance) -> str:
    """Its name with its holder's: `Tier, 2026-11, of Ada Moreau`; once where its name says it already."""
    name, holder = allowance_name(allowance), allowance.holder
    if holder.kind is not HolderKind.ENGINEER:
        return name if name.endswith(holder.id) else f"{name}, of {holder.kind.value} {holder.id}"
    person = world.people.get(EngineerId(holder.id))
    return f"{name}, of {(person and (person.name or person.subject)) or holder.id}"


def _cost(world: World, workload: Workload, start: tuple[GpuClassName, Band], indexes: int) -> int | None:
    """Micro-units of money for the whole time limit of all indexes on a GPU class, at the prices from the dearest instant
    of the band on; None where some of that time has none."""
    book, spec = world.price_book, workload.spec
    pool = world.require_policy().pool_of_team.get(workload.team)
    if book is None or pool is None:
        return None
    gpu_class, band = start
    return world.ahead.rating(book).dearest(gpu_class, pool.name, indexes * spec.gpus, spec.time_limit_ms, band)
