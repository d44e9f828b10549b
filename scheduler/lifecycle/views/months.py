"""A period of everybody, for finance: what was charged, by team, tier and GPU class, and whether the books hold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from scheduler.domain.periods import Period
from scheduler.domain.units import AttemptId, EngineerId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.ledger.journal import AccountKind, PostedSum
from scheduler.lifecycle.views.shapes import MonthView, ShareView
from scheduler.lifecycle.world import World
from scheduler.ports import Books


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
