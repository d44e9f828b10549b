"""Rules of the ledger machine for what becomes of awards: promised, vested, clawed back, passed on, rolled over."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import STANDARD_GPU, AllowanceId, GpuClassName, Instant, Unit
from scheduler.domain.vesting import PackageKind, Vesting, VestingPart
from scheduler.ledger.transfers import roll_over, transfer
from scheduler.ledger.vesting import claw_back, promise, vest
from tests.ledger.build import allowance

H100 = class_unit(GpuClassName("h100"))
EUR = money_unit("EUR")
Amount = st.integers(1, 10_000)
Units = st.sampled_from([STANDARD_GPU, H100, EUR])


@dataclass
class AllowanceModel:
    granted: int
    overdraft: int
    available: int
    held: int = 0
    charged: int = 0
    expired: int = 0
    refunded: int = 0
    corrected: int = 0
    parts: int = 0
    promised: int = 0
    vested: int = 0
    clawed_back: int = 0
    moved: int = 0
    unit: str = STANDARD_GPU


class AwardRules(RuleBasedStateMachine):
    """The part of the machine that knows no workloads."""

    allowances = Bundle("allowances")
    store: SqlStore
    now: int
    paid: dict[str, AllowanceModel]

    def tick(self) -> Instant:
        raise AssertionError("the machine's own")

    def fresh(self) -> int:
        raise AssertionError("the machine's own")

    def known(self, name: str) -> Allowance:
        with self.store.reading() as books:
            found = books.allowances.get(AllowanceId(name))
        assert found is not None
        return found.allowance

    @rule(
        target=allowances,
        parts=st.lists(Amount, min_size=1, max_size=4),
        unit=Units,
    )
    def promise_a_package(self, parts: list[int], unit: Unit) -> str:
        name = f"p-{self.fresh():05}"
        start = self.tick()
        schedule = tuple(VestingPart(Instant(start + place), part) for place, part in enumerate(parts))
        package = replace(
            allowance(sum(parts), name=name, starts_at=start, unit=unit),
            source=AllowanceSource.COMPENSATION,
            granted_at=start,
            vesting=Vesting(PackageKind.ANNUAL, "UTC", schedule),
        )
        with self.store.writing() as books:
            books.allowances.add(package)
            books.journal.post([promise(package, actor="e-9")], start)
        self.paid[name] = AllowanceModel(0, 0, 0, parts=len(parts), promised=sum(parts), unit=unit)
        return name

    @rule(name=allowances)
    def vest_the_next_part(self, name: str) -> None:
        """Twice, and it is once."""
        model, package = self.paid[name], self.known(name)
        if package.vesting is None or model.promised == 0:
            return
        due = package.vesting.due(model.vested, Instant(2**62))[:1]
        for _ in range(2):
            with self.store.writing() as books:
                made = [replace(each, at=Instant(max(each.at, self.now))) for each in vest(package, due)]
                books.journal.post(made, Instant(self.now))
        part = due[0][1].amount
        model.vested += part
        model.promised -= part
        model.available += part

    @rule(name=allowances)
    def claw_back_the_rest(self, name: str) -> None:
        model, package = self.paid[name], self.known(name)
        if model.promised == 0:
            return
        taken = claw_back(package, model.promised, self.tick(), actor="e-9", memo="left")
        with self.store.writing() as books:
            books.journal.post([taken, taken], Instant(self.now))
        model.clawed_back += model.promised
        model.promised = 0

    @rule(first=allowances, second=allowances, amount=Amount)
    def pass_some_on(self, first: str, second: str, amount: int) -> None:
        """To another's allowance: it is refused within one, and beyond what is there."""
        source, target = self.known(first), self.known(second)
        other = replace(target, holder=Holder(HolderKind.TEAM, "research"))
        name, at = str(self.fresh()), self.tick()
        if first == second:
            with pytest.raises(InvalidInput):
                transfer(source, other, amount, at, transfer_id=name, actor="e-9", memo="")
            return
        if source.unit != target.unit:
            with pytest.raises(Conflict):
                transfer(source, other, amount, at, transfer_id=name, actor="e-9", memo="")
            return
        made = transfer(source, other, amount, at, transfer_id=name, actor="e-9", memo="")
        giver = self.paid[first]
        try:
            with self.store.writing() as books:
                books.journal.post([made, made], at)
        except Exhausted:
            assert giver.available + giver.overdraft < amount
            return
        giver.available -= amount
        giver.moved -= amount
        self.paid[second].available += amount
        self.paid[second].moved += amount

    @rule(target=allowances, name=allowances, cap=Amount)
    def roll_over_what_is_left(self, name: str, cap: int) -> str:
        """Once from each: it goes on into an allowance of its own, and from that again."""
        model, source = self.paid[name], self.known(name)
        carried = Rollover(RolloverRule.CAPPED, cap).carried(model.available)
        followed = f"{name}+"
        if carried == 0 or followed in self.paid:
            return name
        target = replace(source, id=AllowanceId(followed), amount=carried, overdraft=0, vesting=None)
        with self.store.writing() as books:
            books.allowances.add(target)
            moved = roll_over(source, target, carried, self.tick())
            books.journal.post([moved, moved], Instant(self.now))
        model.available -= carried
        model.moved -= carried
        self.paid[followed] = AllowanceModel(0, 0, carried, moved=carried, unit=source.unit)
        return followed
