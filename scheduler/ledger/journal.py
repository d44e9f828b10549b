"""Double entry: entries that balance or cannot be built, and the accounts they move between.

    grant      issued → allowance              hold     allowance → held
    charge     held → charged                  release  held → allowance
    overrun    overrun → charged               refund   refunds → allowance
    unfunded   unfunded → charged              expiry   allowance → expired
    promise    issued → promised               vest     promised → allowance
    clawback   promised → forfeited            transfer allowance → another allowance
    rollover   allowance → that of the next period   payment  paid (platform) → paid (engineer)

An amount is added to the account that the arrow points to and taken from the other; `issued`, `overrun`,
`unfunded` and `refunds` therefore go below zero: their negative balance is what was granted, is owed, ran without
funding, and was given back.

Owners. `allowance`, `held`, `promised`, `forfeited` and `expired` belong to an allowance's id; `issued` to the source
of the grant; `overrun` and `unfunded` to an engineer's id. `charged` tells who paid by its owner: an allowance's id,
`overrun/<engineer>` or `unfunded/<engineer>`; so does `refunds` who was given back (in older books all is `platform`'s).
Σ over all of `charged` is everything that was ever charged. A refund leaves `charged` as it is: what was used stays
used, and what was given back stands in `refunds`.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import (
    AMOUNT_MAX,
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    CommandId,
    EngineerId,
    GpuClassName,
    Instant,
    PoolName,
    TeamName,
    Unit,
)
from scheduler.domain.values import value


class AccountKind(StrEnum):
    ISSUED = "issued"
    ALLOWANCE = "allowance"
    HELD = "held"
    CHARGED = "charged"
    OVERRUN = "overrun"
    UNFUNDED = "unfunded"
    REFUNDS = "refunds"
    EXPIRED = "expired"
    PROMISED = "promised"
    """Of a package: what has not vested yet. Nobody can spend it."""
    FORFEITED = "forfeited"
    """What was promised and clawed back before it vested."""
    CORRECTED = "corrected"
    """Money by which closed charges were corrected: of who paid, against the platform."""
    PAID = "paid"
    """Money that a person paid for their own compute, against the platform that received it."""

    @property
    def may_go_below_zero(self) -> bool:
        """Whether its balance is a contra: an allowance's floor is its overdraft, all others' zero."""
        return self not in _NEVER_BELOW_ZERO


_NEVER_BELOW_ZERO = frozenset(
    {
        AccountKind.ALLOWANCE,
        AccountKind.HELD,
        AccountKind.CHARGED,
        AccountKind.EXPIRED,
        AccountKind.PROMISED,
        AccountKind.FORFEITED,
    }
)


class Account(NamedTuple):
    """`owner` is an allowance's id for the kinds of an allowance, else an opaque engineer id or the platform."""

    kind: AccountKind
    owner: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.owner}"


class Entry(NamedTuple):
    """One line: `amount` in the unit's smallest part; `gpu_ms` the physical GPU-milliseconds beside it."""

    account: Account
    amount: int
    unit: Unit = STANDARD_GPU
    gpu_ms: int = 0


class TransactionKind(StrEnum):
    GRANT = "grant"
    HOLD = "hold"
    CHARGE = "charge"
    RELEASE = "release"
    REFUND = "refund"
    EXPIRY = "expiry"
    TRANSFER = "transfer"
    PROMISE = "promise"
    VEST = "vest"
    CLAWBACK = "clawback"
    ROLLOVER = "rollover"
    CORRECTION = "correction"
    PAYMENT = "payment"


@value(frozen=True, slots=True)
class Transaction:
    """Entries that belong together. `id` is made by the caller: the same id is the same transaction.

    `at` is when it counts (which period it falls in). `corrects_at` is when it would have counted, where that lies in
    a period that was closed before it was posted: then it counts in the open period, marked.
    Raises InvalidInput: `invalid-amount` where the entries do not sum to zero, in amount and in physical
    GPU-milliseconds, or an amount is out of bounds; `unit-mismatch` where they are of more than one unit.
    """

    id: str
    kind: TransactionKind
    at: Instant
    entries: tuple[Entry, ...]
    attempt_id: AttemptId | None = None
    command_id: CommandId | None = None
    actor: str = ""
    memo: str = ""
    corrects_at: Instant | None = None

    def __post_init__(self) -> None:
        unit = self.entries[0].unit if self.entries else None
        amounts = physical = 0
        is_of_one_unit = unit is not None
        for _, amount, of_unit, gpu_ms in self.entries:
            if not (-AMOUNT_MAX < amount < AMOUNT_MAX and -AMOUNT_MAX < gpu_ms < AMOUNT_MAX):
                raise InvalidInput(
                    f"an amount of {amount} does not fit the journal",
                    code=RefusalCode.INVALID_AMOUNT,
                    expected=f"an amount below {AMOUNT_MAX}",
                )
            amounts += amount
            physical += gpu_ms
            is_of_one_unit = is_of_one_unit and of_unit == unit
        if amounts or physical or not is_of_one_unit:
            self._refuse()

    def _refuse(self) -> None:
        """Say what is wrong with its entries, by unit."""
        amounts: dict[Unit, int] = defaultdict(int)
        physical: dict[Unit, int] = defaultdict(int)
        for entry in self.entries:
            amounts[entry.unit] += entry.amount
            physical[entry.unit] += entry.gpu_ms
        if not self.entries or any(amounts.values()) or any(physical.values()):
            raise InvalidInput(
                f"the entries of {self.id} do not balance: {dict(amounts)}, physical {dict(physical)}",
                code=RefusalCode.INVALID_AMOUNT,
                expected="a sum of 0 per unit",
            )
        raise InvalidInput(
            f"{self.id} moves {', '.join(sorted(amounts))} at once",
            code=RefusalCode.UNIT_MISMATCH,
            expected="one unit a transaction",
        )


def transfer_entries(
    source: Account, target: Account, amount: int, *, gpu_ms: int = 0, unit: Unit = STANDARD_GPU
) -> tuple[Entry, Entry]:
    """The two lines that move an amount."""
    return Entry(source, -amount, unit, -gpu_ms), Entry(target, amount, unit, gpu_ms)


class Terms(NamedTuple):
    """What the worth of an attempt's use depends on. `gpus` is None where its size changed."""

    engineer: EngineerId
    gpu_class: GpuClassName
    pool: PoolName
    gpus: int | None


class Used(NamedTuple):
    """What a charge of an attempt took from who paid: the least that tells what it is worth. `gpu_ms` is below zero."""

    seq: int
    at: Instant
    gpu_ms: int
    is_unfunded: bool
    unit: Unit
    attempt_id: AttemptId
    engineer: EngineerId
    team: TeamName
    gpu_class: GpuClassName
    pool: PoolName
    gpus: int | None
    """As of `Terms`."""


class PostedEntry(NamedTuple):
    """An entry with the transaction that it stands in, as a statement reads it: a tuple, for a month has many."""

    seq: int
    transaction_id: str
    kind: TransactionKind
    at: Instant
    recorded_at: Instant
    account: Account
    unit: Unit
    amount: int
    gpu_ms: int
    attempt_id: AttemptId | None
    memo: str
    corrects_at: Instant | None = None
    terms: Terms | None = None
    """Those of its attempt, where they were asked for."""


@dataclass(frozen=True, slots=True)
class PostedSum:
    """What the entries of an account add up to for one attempt, or for those of no attempt."""

    account: Account
    unit: Unit
    attempt_id: AttemptId | None
    amount: int
    gpu_ms: int


def suffix_of(unit: Unit) -> str:
    """What tells the ids of transactions of one cause in several units apart; standard time has none."""
    return "" if unit == STANDARD_GPU else f":{unit}"


@lru_cache(maxsize=65_536)
def available_on(allowance_id: AllowanceId) -> Account:
    """Where what can still be spent of an allowance stands. Made once, as the two that follow are."""
    return Account(AccountKind.ALLOWANCE, allowance_id)


@lru_cache(maxsize=65_536)
def held_on(allowance_id: AllowanceId) -> Account:
    """Where what is set aside on an allowance stands."""
    return Account(AccountKind.HELD, allowance_id)


@lru_cache(maxsize=65_536)
def charged_to(allowance_id: AllowanceId) -> Account:
    """Where charges that an allowance paid stand."""
    return Account(AccountKind.CHARGED, allowance_id)


def given_back_to(account: Account) -> Account:
    """Where refunds to who paid stand: to an allowance, or to the overrun that is owed less for it."""
    is_paid = account.kind is AccountKind.ALLOWANCE
    return Account(AccountKind.REFUNDS, account.owner if is_paid else f"{account.kind.value}/{account.owner}")


def charged_beyond(kind: AccountKind, engineer: EngineerId) -> Account:
    """Where charges stand that no allowance paid: overrun or unfunded."""
    assert kind in {AccountKind.OVERRUN, AccountKind.UNFUNDED}, "all others are paid by an allowance"
    return Account(AccountKind.CHARGED, f"{kind.value}/{engineer}")
