"""What must hold of every month of a life: nothing in it is unexplained, and once it is closed nothing of it changes."""

from datetime import UTC, datetime

from scheduler.domain.periods import Period, period_named
from scheduler.finance.reconciling.reconciliation import Difference, DifferenceKind
from scheduler.ledger.journal import AccountKind, TransactionKind
from tests.lives.company import OFFICE, PROJECTS, TEAMMATE
from tests.lives.life import Life


def settled_month(life: Life, period: Period) -> list[object]:
    """Everything that counts in it."""
    with life.site.store.reading() as books:
        return list(books.journal.entries(starts_at=period.starts_at, ends_at=period.ends_at))


def months_of(life: Life) -> list[Period]:
    instants = (life.site.starts_at, life.now)
    names = sorted({datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m") for at in instants})
    periods = (period_named(name, life.terms.zone) for name in names)
    return [period for period in periods if period.starts_at < life.now]


def wrong_in_months(life: Life) -> list[object]:
    found: list[object] = []
    for period in months_of(life):
        found += _unexplained(life, period)
        found += _sums(life, period)
        if period.name in life.closed and settled_month(life, period) != life.closed[period.name]:
            found.append((period.name, "changed after it was closed"))
    return found


def _unexplained(life: Life, period: Period) -> list[object]:
    found = life.service.periods.reconciliation(OFFICE, period.name, life.now)
    explained = life.service.views.conservation(OFFICE, period.name, life.now)
    with life.site.store.reading() as books:
        entries = books.journal.entries(
            kinds=[AccountKind.CHARGED], starts_at=period.starts_at, ends_at=period.ends_at
        )
        charged = sum(entry.gpu_ms for entry in entries if entry.kind is TransactionKind.CHARGE)
    wrong: list[object] = [each for each in found.differences if not _is_known(life, each)]
    wrong += explained.unexplained
    if charged != found.charged:
        wrong.append((period.name, "charged", charged, "and compared", found.charged))
    return wrong


def _is_known(life: Life, difference: Difference) -> bool:
    """Pods that ended beyond their grace are the platform's; a window is given to whom the service knows on its GPU, and
    agents of lost nodes read nothing."""
    if difference.kind is DifferenceKind.OVERHEAD:
        return True
    return difference.subject.startswith(("node:", "gpu:")) or difference.subject.endswith(":devices")


def wrong_on_devices(life: Life) -> list[object]:
    """Of a life in which the service heard of everything at once, and the agents read all the time: devices agree."""
    found = [life.service.periods.reconciliation(OFFICE, period.name, life.now) for period in months_of(life)]
    return [each for month in found for each in month.differences if each.kind is not DifferenceKind.OVERHEAD]


def _sums(life: Life, period: Period) -> list[object]:
    """Statements come to what they began with and what came and went, and all of them to what the ledger says."""
    views, found = life.service.views, list[object]()
    of_teams = 0
    for owner in sorted({*TEAMMATE, *PROJECTS, *PROJECTS.values()}):
        said = views.statement(OFFICE, period.name, life.now, owner)
        came = said.opening + said.granted + said.vested - said.charged + said.refunded - said.expired
        if came + said.transferred != said.closing + said.held:
            found.append((period.name, owner, "does not come to its closing balance"))
        for other in said.others:
            q = other.quantities
            came = q["opening"] + q["granted"] + q.get("vested", 0) - q["charged"] + q["refunded"] - q["expired"]
            if came + q["transferred"] != q["closing"] + q["held"]:
                found.append((period.name, owner, other, "does not come to its closing balance"))
        of_teams += (said.cost_micro or 0) if owner in PROJECTS else 0
    ledger = life.service.money.general_ledger(OFFICE, period.name, life.now)
    if sum(line.debit_micro for line in ledger.lines) != sum(line.credit_micro for line in ledger.lines):
        found.append((period.name, "debits are not credits"))
    month = views.month(OFFICE, period.name, life.now)
    found += [(period.name, name) for name, holds, _ in month.checks if not holds]
    whole = {
        "company": views.statement(OFFICE, period.name, life.now, "company").cost_micro,
        "teams": of_teams,
        "ledger": ledger.recovered_micro,
        "month": month.cost_micro,
    }
    return [*found, *([] if len(set(whole.values())) == 1 else [(period.name, whole)])]
