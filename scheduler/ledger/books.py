"""The book of the journal, as a Protocol: part of `ports.Books`, declared here because it speaks of the ledger's values."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scheduler.domain.allowances import Holder
from scheduler.domain.reasons import Reason
from scheduler.domain.units import STANDARD_GPU, AttemptId, EngineerId, GpuClassName, Instant, PoolName, Unit
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, PostedSum, Transaction, TransactionKind, Used
from scheduler.ledger.statement import CompanyLines, Released


@dataclass(frozen=True, slots=True)
class BalanceDifference:
    """A cached balance that does not equal the journal."""

    account: Account
    unit: Unit
    cached: int
    rebuilt: int


@dataclass(frozen=True, slots=True)
class TermsUsed:
    """A GPU class and pool of attempts, the instant at which the first of them started, and the
    last at which one was posted."""

    gpu_class: GpuClassName
    pool: PoolName
    first_at: Instant
    last_at: Instant


class UsedBy(NamedTuple):
    """What entries on accounts of one kind add up to, of one engineer's attempts of one GPU class; None where no attempt
    stands behind them."""

    kind: AccountKind
    is_unfunded: bool
    unit: Unit
    engineer: EngineerId | None
    gpu_class: GpuClassName | None
    amount: int
    gpu_ms: int


class PoolUse(NamedTuple):
    """Physical GPU-milliseconds that attempts of one pool and GPU class were charged, within its quota or beyond it."""

    pool: PoolName
    gpu_class: GpuClassName
    is_borrowed: bool
    gpu_ms: int


class JournalBook(Protocol):
    def post(self, transactions: Sequence[Transaction], recorded_at: Instant) -> None:
        """Post them all or none. One posted before under its id is passed over; with another body it is a Conflict.

        A Conflict (`period-closed`) where one is dated inside a closed period.

        Raises Exhausted (`allowance-short`) where an account would fall below its floor: its overdraft for an
        allowance, zero for held, charged and expired.
        """
        ...

    def balance(self, account: Account, unit: Unit = STANDARD_GPU) -> int: ...

    def entries(
        self,
        *,
        accounts: Sequence[Account] | None = None,
        kinds: Sequence[AccountKind] | None = None,
        starts_at: Instant | None = None,
        ends_at: Instant | None = None,
        attempt_id: AttemptId | None = None,
        transactions: Sequence[TransactionKind] | None = None,
    ) -> Iterator[PostedEntry]:
        """In posting order; a period is half-open on `at`. `kinds` are those of accounts."""
        ...

    def sums(
        self, *, kinds: Sequence[AccountKind], starts_at: Instant | None = None, ends_at: Instant | None = None
    ) -> Iterator[PostedSum]:
        """The same entries summed up by account and attempt: a month of a company without reading its every slice."""
        ...

    def stated(
        self,
        *,
        accounts: Sequence[Account] | None,
        starts_at: Instant,
        ends_at: Instant,
        returned_for: Collection[Reason] = (),
    ) -> Iterator[PostedEntry]:
        """What a statement over these accounts is made of, in every unit and no certain order, with the terms of attempts.
        `accounts` None is the company: every account that a statement reads, and corrections of money.

        Holds and releases come and go by themselves, and are left out, but for what came back to who paid from attempts
        that were stopped for a reason of `returned_for`.
        """
        ...

    def used(self, *, starts_at: Instant, ends_at: Instant) -> Iterator[Used]:
        """What attempts of the company were charged in the period, by the side that paid, in no certain order; but for what
        belongs to a closed one."""
        ...

    def worth_beside(self, *, starts_at: Instant, ends_at: Instant, left: Sequence[int]) -> Iterator[PostedEntry]:
        """Everything else of the period that is worth money, as `stated` has it, and the entries of `used` with the numbers
        that are `left`."""
        ...

    def company_lines(self, *, starts_at: Instant, ends_at: Instant, first: int) -> CompanyLines:
        """As `lines_of` everything that `stated` would give of the company, added up by the database."""
        ...

    def holders(self, transactions: Sequence[str]) -> Mapping[str, tuple[Holder, ...]]:
        """Whose allowances the transactions with these ids moved something of: who gave before who got. None of those that
        moved nothing of an allowance."""
        ...

    def released(self, *, stopped_for: Collection[Reason], starts_at: Instant, ends_at: Instant) -> list[Released]:
        """What came back in the period from attempts that were stopped for one of these reasons, as `lines_of` has it."""
        ...

    def used_by(self, *, kinds: Sequence[AccountKind], starts_at: Instant, ends_at: Instant) -> list[UsedBy]:
        """A period of everybody on accounts of these kinds, by who used it. Not for `allowance` and `held`, on which holds
        and releases come and go: those are left out."""
        ...

    def used_of_pools(self, *, starts_at: Instant, ends_at: Instant) -> list[PoolUse]:
        """What attempts were charged in the period, but for what belongs to a closed one, added up."""
        ...

    def charged_by_day(
        self,
        *,
        starts_at: Instant,
        ends_at: Instant,
        accounts: Sequence[Account] | None = None,
        unit: Unit = STANDARD_GPU,
    ) -> Iterator[tuple[str, Instant, int]]:
        """What attempts were charged in standard time, or whatever was in another unit: the owner of the `charged` account,
        the day of UTC by its start, and the amount. Refunds and corrections are no use and are left out."""
        ...

    def charged_gpu_ms(
        self, attempts: Sequence[AttemptId], *, starts_at: Instant, ends_at: Instant
    ) -> Mapping[AttemptId, int]:
        """The physical time that these attempts were charged for in the period, whoever paid; none of those without any."""
        ...

    def totals(
        self, *, ends_at: Instant, accounts: Sequence[Account], unit: Unit = STANDARD_GPU
    ) -> Mapping[Account, int]:
        """The balances that the entries dated before `ends_at` make."""
        ...

    def kind_totals(
        self, *, kinds: Sequence[AccountKind], ends_at: Instant, unit: Unit = STANDARD_GPU
    ) -> Mapping[AccountKind, int]:
        """The same, of all accounts of a kind together."""
        ...

    def accounts(self) -> int:
        """How many there are."""
        ...

    def terms_used(self, *, starts_at: Instant, ends_at: Instant) -> Sequence[TermsUsed]:
        """Under which terms attempts were charged or refunded in the period."""
        ...

    def tokens_charged(self, *, starts_at: Instant, ends_at: Instant) -> Iterator[tuple[Instant, str]]:
        """The charges of no attempt in the period: when each counts by its price, and its memo."""
        ...

    def count(self, *, transactions: Sequence[TransactionKind], starts_at: Instant, ends_at: Instant) -> int:
        """How many transactions of these kinds the period has."""
        ...

    def differences(self) -> list[BalanceDifference]:
        """Every cached balance compared with the journal rebuilt; nothing is repaired."""
        ...
