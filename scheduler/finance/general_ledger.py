"""Journal lines for a general ledger: what a period's use is recharged to whom, and what of its cost was not.

Every line is a debit or a credit; both sides have the same sum. Cost centres are teams, and `platform`, which no team is,
whatever it is called. Three entries a period:

    recharge       debit  `compute-expense` of the team that used   credit `compute-recovery` of the platform
    given back     the same, the other way round, for refunds
    actual cost    debit  `electricity`, `depreciation`             credit `accrued-cost` of the platform
    not known      neither: what of these the price book does not tell, in words

What electricity and hardware cost and was not recovered is the difference of the two: a line of the summary.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import Period, iso
from scheduler.domain.units import Instant

PLATFORM = "platform"


def cost_centre_of(team: str) -> str:
    """A team's own name; `team:platform` of a team that is called as the platform's cost centre is; the platform's where
    nobody knows the team."""
    return f"team:{team}" if team == PLATFORM else team or PLATFORM


@dataclass(frozen=True, slots=True)
class GlAccounts:
    """What the general ledger calls its accounts."""

    expense: str = "compute-expense"
    recovery: str = "compute-recovery"
    electricity: str = "electricity"
    depreciation: str = "depreciation"
    accrued: str = "accrued-cost"


@dataclass(frozen=True, slots=True)
class UnknownCost:
    """What was used and has no cost: of an account, from which hour on, and what of it, in words. Nothing stands for it."""

    account: str
    since: Instant
    what: str

    @property
    def told(self) -> str:
        return f"not known from {iso(self.since)} on: {self.what}"


@dataclass(frozen=True, slots=True)
class GlLine:
    """One of `debit_micro` and `credit_micro` is zero, and neither is below it; both are of what is not known."""

    entry: str
    account: str
    cost_centre: str
    debit_micro: Micro
    credit_micro: Micro
    text: str


@dataclass(frozen=True, slots=True)
class GlJournal:
    """`unrecovered_micro` is actual cost less what was recovered: below zero where more was recovered than it cost. Both
    are without what is `unknown`."""

    period: str
    currency: Currency
    lines: tuple[GlLine, ...]
    recovered_micro: Micro
    actual_micro: Micro
    unrecovered_micro: Micro
    unknown: tuple[UnknownCost, ...] = ()


@dataclass(slots=True)
class Recharge:
    """What each team was charged, and what was given back to it or corrected (micro-units, signed)."""

    charged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    corrected: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def gl_journal(
    period: Period,
    currency: Currency,
    recharge: Recharge,
    actual: Mapping[str, Micro],
    accounts: GlAccounts,
    unknown: Sequence[UnknownCost] = (),
) -> GlJournal:
    """`actual` is what was really spent, by account: electricity and depreciation, as far as they are known."""
    lines: list[GlLine] = []
    for entry, sums in (("recharge", recharge.charged), ("given back and corrected", recharge.corrected)):
        lines += _recharged(entry, period.name, sums, accounts)
    for account, micro in actual.items():
        text = f"{account} of {period.name}"
        lines += _pair("actual cost", Micro(micro), (account, PLATFORM), (accounts.accrued, PLATFORM), text)
    lines += [
        GlLine(
            "not known", each.account, PLATFORM, Micro(0), Micro(0), f"{each.account} of {period.name}: {each.told}"
        )
        for each in unknown
    ]
    recovered = sum(recharge.charged.values()) + sum(recharge.corrected.values())
    spent = sum(actual.values())
    return GlJournal(
        period.name, currency, tuple(lines), Micro(recovered), Micro(spent), Micro(spent - recovered), tuple(unknown)
    )


def _recharged(entry: str, period: str, sums: Mapping[str, int], accounts: GlAccounts) -> Iterable[GlLine]:
    for team, micro in sorted(sums.items()):
        centre = cost_centre_of(team)
        text = f"compute of {centre}, {period}"
        expense, recovery = (accounts.expense, centre), (accounts.recovery, PLATFORM)
        yield from _pair(entry, Micro(micro), expense, recovery, text)


def _pair(entry: str, micro: Micro, debit: tuple[str, str], credit: tuple[str, str], text: str) -> tuple[GlLine, ...]:
    """Debit the one and credit the other; an amount below zero the other way round, none at all not."""
    if micro == 0:
        return ()
    first, second = (debit, credit) if micro > 0 else (credit, debit)
    amount, nothing = Micro(abs(micro)), Micro(0)
    return (
        GlLine(entry, *first, amount, nothing, text),
        GlLine(entry, *second, nothing, amount, text),
    )
