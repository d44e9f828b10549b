"""Burn alerts: an allowance's holder hears of use that jumped and of hours that run out, a person's lead of the jump.

A holder is a person, a project or a team with allowances of its own. Today counts as far as it is charged (running work
is, every hour), so that a batch is told of while it burns. Amounts are pay data: a lead hears that a person's use jumped,
and no number. What was told is kept by opaque ids, and only once it was taken: a restart tells nothing twice, and a
process that is killed between the two tells it again.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind
from scheduler.domain.burning import BurnTerms, terms_in
from scheduler.domain.people import Engineer, Role
from scheduler.domain.periods import iso, period_at
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    STANDARD_GPU,
    AllowanceId,
    EngineerId,
    Instant,
    ProjectName,
    Unit,
)
from scheduler.finance.burn import (
    LONG_DAYS,
    Jump,
    RunOut,
    beginnings,
    jumps,
    run_out,
    since_first_use,
    spread_over_days,
)
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.notices import Notice
from scheduler.ports import Books, Store

JUMPED, RUNS_OUT, USED_UP = "burn:jump", "burn:runs-out", "burn:used-up"

LOOK_EVERY_MS = 10 * MS_PER_MINUTE
TOLD_OF_MS = 2 * MS_PER_DAY
"""A jump of longer ago is no news: it stands on the page and in `allot burn`."""

KEPT_MS = 2 * LONG_DAYS * MS_PER_DAY
_TOLD = "burn told"
_NO_ALLOWANCE = tuple(f"{kind.value}/" for kind in (AccountKind.OVERRUN, AccountKind.UNFUNDED))
"""The setting with what was told: by holder, kind, recipient and day or period, when."""


@dataclass(frozen=True, slots=True)
class _Use:
    """A holder's use in one unit: charged on each day up to today, and what is left."""

    holder: Holder
    unit: Unit
    used: Sequence[int]
    first_day: Instant
    balances: Sequence[AllowanceBalance]


class BurnAlerts:
    """What is due is asked of the books every ten minutes; days before yesterday are read once a day."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self._looked_at: Instant | None = None
        self._read_until = Instant(0)
        self._days: dict[tuple[Holder, Unit, Instant], int] = {}
        self._due: dict[Notice, str] = {}

    def due(self, now: Instant) -> list[Notice]:
        """What nobody was told yet, nor is waiting to be brought."""
        is_early = self._looked_at is not None and 0 <= now - self._looked_at < LOOK_EVERY_MS
        if self._world.policy is None or is_early:
            return []
        with self._store.reading() as books:
            told = _told(books)
            uses = self._uses(books, now)
        self._looked_at = now
        waiting = set(self._due.values())
        fresh = {notice: key for key, notice in self._alerts(uses, now) if key not in told and key not in waiting}
        self._due |= fresh
        return list(fresh)

    def keep(self, notice: Notice, now: Instant) -> None:
        """Note that it was taken. Notices of others are none of this."""
        key = self._due.pop(notice, None)
        if key is None:
            return
        with self._world.writer, self._store.writing() as books:
            told = {known: at for known, at in _told(books).items() if now - at < KEPT_MS} | {key: now}
            books.control.put_setting(_TOLD, json.dumps(told, sort_keys=True))

    def _uses(self, books: Books, now: Instant) -> list[_Use]:
        today = Instant(now - now % MS_PER_DAY)
        first = Instant(today - LONG_DAYS * MS_PER_DAY)
        since = Instant(max(first, self._read_until))
        self._days = {key: used for key, used in self._days.items() if first <= key[2] < since}
        left: dict[tuple[Holder, Unit], list[AllowanceBalance]] = defaultdict(list)
        for balance in list(self._world.balances.values()):
            if balance.allowance.is_open_at(now):
                left[balance.allowance.holder, balance.allowance.unit].append(balance)
        for unit in sorted({STANDARD_GPU} | {unit for _, unit in left}):
            charged = list(books.journal.charged_by_day(starts_at=since, ends_at=Instant(now + 1), unit=unit))
            holders = _holders_of(books, {payer for payer, _, _ in charged})
            for payer, day, amount in charged:
                if payer in holders:
                    key = (holders[payer], unit, day)
                    self._days[key] = self._days.get(key, 0) + amount
        self._read_until = Instant(today - MS_PER_DAY)
        by_holder: dict[tuple[Holder, Unit], list[tuple[Instant, int]]] = defaultdict(list)
        for (holder, unit, day), amount in self._days.items():
            by_holder[holder, unit].append((day, amount))
        uses = []
        for (holder, unit), days in sorted(by_holder.items()):
            used = spread_over_days(days, first, LONG_DAYS + 1)
            begun = since_first_use(used)
            first_day = Instant(first + begun * MS_PER_DAY)
            uses.append(_Use(holder, unit, used[begun:], first_day, left[holder, unit]))
        return uses

    def _alerts(self, uses: Iterable[_Use], now: Instant) -> Iterator[tuple[str, Notice]]:
        policy = self._world.require_policy()
        period = period_at(now, policy.period, policy.time_zone)
        for use in uses:
            for jump in beginnings(jumps(use.used, use.first_day, terms_in(use.unit, policy.burn))):
                if now - jump.day < TOLD_OF_MS:
                    yield from self._of_jump(use, jump, policy.burn)
            yield from self._of_rest(use, policy.burn, period.name, now)

    def _of_jump(self, use: _Use, jump: Jump, terms: BurnTerms) -> Iterator[tuple[str, Notice]]:
        day = iso(jump.day)[:10]
        numbers = f"{_amount(jump.used, use.unit)}, {_amount(jump.usual, use.unit, is_again=True)} are usual"
        person, leads = self._concerned(use.holder)
        for to in leads if person is None else (person,):
            sentence = f"{self._whose(use.holder, to)} jumped on {day}: {numbers}."
            yield self._notice(JUMPED, use, to, day, jump.day, sentence)
        for to in leads if person is not None else ():
            times = f"{terms.jump_factor / 1000:g} times what is usual"
            sentence = f"{self._whose(use.holder, to)} jumped on {day}: more than {times}."
            yield self._notice(JUMPED, use, to, day, jump.day, sentence)

    def _of_rest(self, use: _Use, terms: BurnTerms, period: str, now: Instant) -> Iterator[tuple[str, Notice]]:
        spendable = [balance for balance in use.balances if not balance.is_frozen]
        if not spendable or not terms.warn_ms:
            return
        available = sum(balance.available for balance in spendable)
        kind, sentence = (
            USED_UP,
            f"Nothing is left{_of(use.unit)} of what {use.holder.kind.value} {use.holder.id} may start work with.",
        )
        if available > 0:
            band = run_out(available, use.used[:-1], now)
            if band is None or band.earliest - now > terms.warn_ms or _expires_first(spendable, band):
                return
            days = f"{iso(band.earliest)[:10]} to {iso(band.latest)[:10]}"
            kind, sentence = (
                RUNS_OUT,
                f"{_amount(available, use.unit)} are left; at this pace they last until {days}.",
            )
        person, leads = self._concerned(use.holder)
        for to in leads if person is None else (person,):
            yield self._notice(kind, use, to, period, now, sentence)

    def _concerned(self, holder: Holder) -> tuple[Engineer | None, list[Engineer]]:
        """The person whose allowance it is, if it is one's, and the leads of the team."""
        policy, people = self._world.require_policy(), list(self._world.people.values())
        person = None
        team: str | None = holder.id
        if holder.kind is HolderKind.ENGINEER:
            person = self._world.people.get(EngineerId(holder.id))
            team = person.team if person is not None else None
        elif holder.kind is HolderKind.PROJECT:
            project = policy.projects.get(ProjectName(holder.id))
            team = project.team if project is not None else None
        leads = [each for each in people if Role.LEAD in each.roles and each.team == team and each is not person]
        return person, sorted(leads, key=lambda each: each.id)

    def _whose(self, holder: Holder, to: Engineer) -> str:
        if holder.kind is not HolderKind.ENGINEER:
            return f"Use of {holder.kind.value} {holder.id}"
        if holder.id == to.id:
            return "Your use"
        person = self._world.people[EngineerId(holder.id)]
        return f"The use of {person.name or person.subject}"

    def _notice(
        self, kind: str, use: _Use, to: Engineer, when: str, at: Instant, sentence: str
    ) -> tuple[str, Notice]:
        holder = use.holder
        person = self._world.people.get(EngineerId(holder.id)) if holder.kind is HolderKind.ENGINEER else None
        owner = f"{holder.kind.value}:{holder.id}" if person is None else None
        named = f" --owner {owner}" if owner is not None else "" if person is to else f" --owner team:{to.team}"
        notice = Notice(
            kind=kind,
            at=at,
            sentence=sentence,
            next_step=f"`allot burn{named}` shows what goes a day.",
            owner=person.subject if person is not None else None,
            team=to.team,
            to=to.subject,
        )
        of = "" if use.unit == STANDARD_GPU else f" {use.unit}"
        return f"{kind} {holder.kind.value}:{holder.id} {to.id} {when}{of}", notice


def _expires_first(balances: Sequence[AllowanceBalance], band: RunOut) -> bool:
    """Whether all of it expires before it could be used up: then it does not run out."""
    ends = [balance.allowance.expires_at for balance in balances if balance.available > 0]
    return all(end is not None and end <= band.earliest for end in ends)


def _holders_of(books: Books, payers: set[str]) -> dict[str, Holder]:
    """Whose the hours are that paid. What ran unfunded was nobody's."""
    allowances = {AllowanceId(payer) for payer in payers if not payer.startswith(_NO_ALLOWANCE)}
    holders: dict[str, Holder] = {
        balance.allowance.id: balance.allowance.holder
        for balance in books.allowances.balances(ids=sorted(allowances))
    }
    for payer in payers:
        kind, _, engineer = payer.partition("/")
        if kind == "overrun" and engineer:
            holders[payer] = Holder(HolderKind.ENGINEER, engineer)
    return holders


def _told(books: Books) -> dict[str, Instant]:
    known = books.control.setting(_TOLD)
    return {} if known is None else {key: Instant(at) for key, at in json.loads(known).items()}


def _of(unit: Unit) -> str:
    return "" if unit == STANDARD_GPU else f" in {unit_label(unit)}"


def _amount(amount: int, unit: Unit, *, is_again: bool = False) -> str:
    """In words; standard hours are named once in a sentence."""
    if unit != STANDARD_GPU:
        return quantity_text(amount, unit)
    return f"{amount / MS_PER_HOUR:,.1f}{'' if is_again else ' GPU-hours'}"
