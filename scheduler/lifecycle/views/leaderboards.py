"""The leaderboard of a team or a tier: of those who joined, for those who joined and the team's lead."""

from collections import defaultdict
from dataclasses import dataclass

from scheduler.domain.errors import InvalidInput, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import Period
from scheduler.domain.units import EngineerId, Instant
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.asking.boards import members
from scheduler.lifecycle.memory.world import World
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.leaderboard import RankedBy, Standing, ranked
from scheduler.metering.use import Use, total
from scheduler.ports import Books

_TOKENS = "tokens"
"""How units of tokens begin: of any model, or of one."""


@dataclass(frozen=True, slots=True)
class BoardView:
    """`people` of the group in all, of whom `standings` are those who joined. `is_member`: whether the caller did."""

    group: str
    name: str
    period: str
    starts_at: Instant
    ends_at: Instant
    ranked_by: RankedBy
    people: int
    is_member: bool
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class BoardAsked:
    """A team's or a tier's; the caller's own team where neither is named."""

    team: str | None = None
    tier: str | None = None
    by: RankedBy = RankedBy.USEFUL


def board_view(books: Books, world: World, caller: Caller, asked: BoardAsked, period: Period) -> BoardView:
    """Raises NotPermitted (`not-yours`) for who neither joined in that group nor leads the team."""
    own = world.people.get(caller.engineer) if caller.engineer is not None else None
    if asked.team is not None and asked.tier is not None:
        raise InvalidInput("of a team or of a tier?", where="tier", expected="one of the two")
    group = "team" if asked.tier is None else "tier"
    name = asked.tier or asked.team or (own.team if own is not None else "")
    people = [person for person in list(world.people.values()) if getattr(person, group) == name and person.subject]
    joined = members(books)
    shown = [person for person in people if person.id in joined]
    leads = group == "team" and caller.has(Role.LEAD) and caller.team == name
    if not leads and (own is None or own not in shown):
        raise NotPermitted(
            "a leaderboard is for those who stand on it",
            code=RefusalCode.NOT_YOURS,
            expected=f"a member of the {group} who joined",
            remedy="`allot leaderboard join` puts you on it",
        )
    return BoardView(
        group,
        name,
        period.name,
        period.starts_at,
        period.ends_at,
        asked.by,
        len(people),
        own is not None and own.id in joined,
        ranked(_standings(books, shown, period), asked.by),
    )


def _standings(books: Books, shown: list[Engineer], period: Period) -> list[Standing]:
    ids = frozenset(person.id for person in shown)
    if not ids:
        return []
    uses = books.samples.use_between(period.starts_at, period.ends_at, ids)
    attempts = books.attempts.many(sorted(id_ for id_ in uses if id_ is not None))
    of: dict[EngineerId, list[Use]] = defaultdict(list)
    for id_, attempt in attempts.items():
        of[attempt.owner].append(uses[id_])
    tokens = _tokens(books, period)
    found = []
    for person in shown:
        use = efficiency_of(total(of[person.id]))
        found.append(
            Standing(
                person.id,
                person.name or person.subject,
                use.active_ms,
                use.mean_permille,
                use.idle_permille,
                tokens.get(person.id, 0),
            )
        )
    return found


def _tokens(books: Books, period: Period) -> dict[str, int]:
    """What each person's own allowances paid of tokens."""
    owners: dict[str, str] = {
        balance.allowance.id: balance.allowance.holder.id
        for balance in books.allowances.balances()
        if balance.allowance.unit.startswith(_TOKENS)
    }
    sums: dict[str, int] = defaultdict(int)
    if owners:
        kinds = [AccountKind.CHARGED]
        for posted in books.journal.sums(kinds=kinds, starts_at=period.starts_at, ends_at=period.ends_at):
            if posted.account.owner in owners:
                sums[owners[posted.account.owner]] += posted.amount
    return sums
