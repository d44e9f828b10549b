"""Statements: a period of one engineer, every line down to the attempt; and a period of everybody, for finance."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.people import Engineer
from scheduler.domain.periods import Period
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, EngineerId, Instant, WorkloadId
from scheduler.domain.workloads import Attempt, Workload
from scheduler.ledger.journal import AccountKind, PostedEntry, PostedSum, TransactionKind
from scheduler.ledger.statement import StatementLine as LedgerLine
from scheduler.ledger.statement import accounts_of, statement
from scheduler.lifecycle.views.shapes import MonthView, ReturnedView, ShareView, StatementLine, StatementView
from scheduler.lifecycle.world import World
from scheduler.ports import Books

_TEXTS = {
    TransactionKind.GRANT: "Granted",
    TransactionKind.CHARGE: "Charged",
    TransactionKind.REFUND: "Refunded",
    TransactionKind.EXPIRY: "Expired",
    TransactionKind.TRANSFER: "Transferred",
    TransactionKind.CORRECTION: "Corrected",
}


def statement_view(books: Books, engineer: Engineer, period: Period) -> StatementView:
    """The engineer's own allowances over the period, as the journal has it."""
    holder = Holder(HolderKind.ENGINEER, engineer.id)
    mine = books.allowances.balances(holders=[holder])
    accounts = accounts_of([balance.allowance.id for balance in mine], [engineer.id])
    opening = books.journal.totals(ends_at=period.starts_at, accounts=accounts)
    entries = list(books.journal.entries(accounts=accounts, starts_at=period.starts_at, ends_at=period.ends_at))
    made = statement(opening, entries)
    released = _released(entries)
    named = {*released, *(line.attempt_id for line in made.lines if line.attempt_id is not None)}
    attempts = books.attempts.many(sorted(named))
    workloads = books.workloads.many([attempt.workload_id for attempt in attempts.values()])
    return StatementView(
        owner=engineer.id,
        owner_name=engineer.name or engineer.subject,
        team=engineer.team,
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        opening=made.opening,
        granted=made.granted,
        charged=made.charged,
        refunded=made.refunded,
        expired=made.expired,
        transferred=made.transferred + made.corrected,
        held=made.held,
        closing=made.available,
        overrun=made.overrun,
        unfunded=made.unfunded,
        lines=tuple(_line(line, attempts, workloads) for line in sorted(made.lines, key=lambda item: item.at)),
        returned=tuple(_returned(released, attempts, workloads)),
    )


def _released(entries: Iterable[PostedEntry]) -> dict[AttemptId, tuple[Instant, int]]:
    """What came back of each attempt's holds, and when."""
    found: dict[AttemptId, tuple[Instant, int]] = {}
    for entry in entries:
        is_release = entry.kind is TransactionKind.RELEASE and entry.account.kind is AccountKind.ALLOWANCE
        if is_release and entry.attempt_id is not None:
            _, amount = found.get(entry.attempt_id, (entry.at, 0))
            found[entry.attempt_id] = (entry.at, amount + entry.amount)
    return found


def _returned(
    released: Mapping[AttemptId, tuple[Instant, int]],
    attempts: Mapping[AttemptId, Attempt],
    workloads: Mapping[WorkloadId, Workload],
) -> Iterator[ReturnedView]:
    """Of attempts that were ended because they rested."""
    for attempt_id, (at, amount) in released.items():
        attempt = attempts.get(attempt_id)
        if attempt is None or attempt.stop_reason not in {Reason.IDLE, Reason.IDLE_ENDED}:
            continue
        workload = workloads.get(attempt.workload_id)
        name = workload.spec.name if workload is not None else ""
        yield ReturnedView(at, attempt_id, attempt.workload_id, name, attempt.stop_reason.value, amount)


def _line(
    line: LedgerLine, attempts: Mapping[AttemptId, Attempt], workloads: Mapping[WorkloadId, Workload]
) -> StatementLine:
    attempt = attempts.get(line.attempt_id) if line.attempt_id is not None else None
    workload = workloads.get(attempt.workload_id) if attempt is not None else None
    name = workload.spec.name if workload is not None else ""
    what = _TEXTS[line.kind]
    return StatementLine(
        at=line.at,
        kind=line.kind.value,
        text=f"{what}: {name}, attempt {attempt.number}" if attempt is not None else f"{what}: {line.memo or '–'}",
        attempt_id=line.attempt_id or "",
        workload_id=attempt.workload_id if attempt is not None else "",
        workload_name=name,
        gpu_class=attempt.gpu_class if attempt is not None else "",
        gpus=attempt.gpus if attempt is not None else 0,
        gpu_ms=line.gpu_ms,
        weight=attempt.weight if attempt is not None else 0,
        class_factor=attempt.class_factor if attempt is not None else 0,
        amount=line.amount,
    )


def month_view(books: Books, world: World, period: Period) -> MonthView:
    """Everybody's period: what was charged, by team, tier and GPU class, and whether the books hold."""
    sums = _Sums()
    kinds = [AccountKind.CHARGED, AccountKind.REFUNDS, AccountKind.ISSUED]
    for posted in books.journal.sums(kinds=kinds, starts_at=period.starts_at, ends_at=period.ends_at):
        sums.add(posted)
    attempts = books.attempts.many(sorted(sums.attempts))
    by_class = sums.by_gpu_class(attempts)
    open_ones = books.allowances.balances(unsettled_at=Instant(period.ends_at - 1))
    return MonthView(
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        charged=sums.charged,
        gpu_ms=sums.gpu_ms,
        unfunded=sums.unfunded,
        refunded=sums.refunded,
        granted=sums.granted,
        outstanding=sum(balance.available + balance.held for balance in open_ones),
        by_team=_shares(sums.of_engineers(attempts), {e.id: e.team for e in world.people.values()}),
        by_tier=_shares(sums.of_engineers(attempts), {e.id: e.tier for e in world.people.values()}),
        by_gpu_class=by_class,
        checks=_checks(books),
    )


class _Sums:
    """What a period's postings add up to."""

    def __init__(self) -> None:
        self.charged = self.gpu_ms = self.unfunded = self.refunded = self.granted = 0
        self.attempts: dict[AttemptId, list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, posted: PostedSum) -> None:
        account = posted.account
        if account.kind is AccountKind.ISSUED:
            self.granted -= posted.amount
        elif account.kind is AccountKind.REFUNDS:
            self.refunded -= posted.amount
        else:
            is_unfunded = account.owner.startswith("unfunded/")
            self.gpu_ms += posted.gpu_ms
            self.unfunded += posted.amount if is_unfunded else 0
            self.charged += 0 if is_unfunded else posted.amount
            if posted.attempt_id is not None:
                sums = self.attempts[posted.attempt_id]
                sums[0] += posted.gpu_ms
                sums[2 if is_unfunded else 1] += posted.amount

    def by_gpu_class(self, attempts: Mapping[AttemptId, Attempt]) -> tuple[ShareView, ...]:
        return _grouped(
            (
                attempts[id_].gpu_class if id_ in attempts else "–",
                attempts[id_].owner if id_ in attempts else "",
                sums,
            )
            for id_, sums in self.attempts.items()
        )

    def of_engineers(self, attempts: Mapping[AttemptId, Attempt]) -> list[tuple[EngineerId, list[int]]]:
        return [(attempts[id_].owner, sums) for id_, sums in self.attempts.items() if id_ in attempts]


def _shares(of: Iterable[tuple[EngineerId, list[int]]], group: Mapping[EngineerId, str]) -> tuple[ShareView, ...]:
    return _grouped((group.get(engineer, "–"), engineer, sums) for engineer, sums in of)


def _grouped(rows: Iterable[tuple[str, str, list[int]]]) -> tuple[ShareView, ...]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    people: dict[str, set[str]] = defaultdict(set)
    for name, owner, sums in rows:
        totals[name] = [have + more for have, more in zip(totals[name], sums, strict=True)]
        people[name].add(owner)
    return tuple(
        ShareView(name, gpu_ms, charged, unfunded, len(people[name]))
        for name, (gpu_ms, charged, unfunded) in sorted(totals.items(), key=lambda item: (-item[1][1], item[0]))
    )


def _checks(books: Books) -> tuple[tuple[str, bool, str], ...]:
    """What finance looks at before closing: (check, holds, detail)."""
    differences = books.journal.differences()
    open_holds = books.holds.open_ones()
    live = {attempt.id for attempt in books.attempts.live()}
    orphans = [hold for hold in open_holds if hold.attempt_id is not None and hold.attempt_id not in live]
    return (
        ("Balances equal the journal", not differences, f"{len(differences)} differ"),
        (
            "Every hold is open or resolved once",
            not orphans,
            f"{len(open_holds)} open, {len(orphans)} of ended attempts",
        ),
    )
