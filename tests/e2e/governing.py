"""More scripts for processes that die: of what is frozen, refused, withdrawn, written off, donated, paused and forgotten,
of who may do what; and the table of what writes in `lifecycle/`, and in which script it dies."""

from dataclasses import replace

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.access import TokenRecord
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.brakes import Brake
from scheduler.domain.errors import RefusalCode
from scheduler.domain.people import Engineer, Role
from scheduler.domain.periods import period_at
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, AllowanceId, EngineerId, Instant, TeamName, TierName
from scheduler.entrypoints.running import Service
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision
from scheduler.lifecycle.approvals.rights import PeopleFile
from scheduler.lifecycle.asking.boards import join
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.transfer import Passing
from tests.e2e.scripts import (
    AGAIN,
    LOGGED,
    SCRIPTS,
    SECOND,
    TIERS,
    Script,
    lenient,
    nothing,
    over_the_turn_of_october,
    prices,
    two_persons,
    waiting,
    who,
)
from tests.e2e.working import WORKING
from tests.entrypoints.company import NOON, SYSTEM, engineer_id

_TOKEN_HASH = "0123456789abcdef" * 4


def _of_this_week(service: Service) -> AllowanceId:
    week = period_at(NOON, service.world.require_policy().period, "Europe/Berlin").name
    return AllowanceId(f"tier/{engineer_id(service, 'ada')}/{week}")


def _freeze(service: Service) -> object:
    return service.awards.freeze(SYSTEM, _of_this_week(service), "she is away", is_frozen=True, now=NOON)


def _frozen(service: Service) -> None:
    _freeze(service)


def _thaw(service: Service) -> object:
    return service.awards.freeze(SYSTEM, _of_this_week(service), "she is back", is_frozen=False, now=NOON)


def _donate(service: Service) -> object:
    target = Holder(HolderKind.TEAM, "research")
    asked = Passing(_of_this_week(service), target, 40 * MS_PER_HOUR, "not needed")
    return service.awards.transfer(who(service, "ada"), asked, now=NOON, command=AGAIN)


def _latest(service: Service) -> str:
    with service.store.reading() as books:
        (found,) = books.approvals.latest()
    return found.proposal.id


def _reject(service: Service) -> object:
    return service.approvals.reject(SECOND, _latest(service), "not this week", now=NOON)


def _withdraw(service: Service) -> object:
    return service.approvals.withdraw(who(service, "fin"), _latest(service), now=NOON)


def _closing(service: Service) -> None:
    """October, provisionally: what differs is known."""
    over_the_turn_of_october(service)
    with service.store.reading() as books:
        service.world.load(books, NOON)
    service.world.rounds.heard_at = NOON
    service.periods.close(who(service, "fin"), "2026-10", now=NOON, provisionally=True)


def _write_off(service: Service) -> object:
    fin = who(service, "fin")
    found = service.periods.reconciliation(fin, "2026-10", NOON).differences
    known = Decision(SettlementKind.WRITE_OFF, "no agents yet")
    return service.periods.settle(fin, [each.id for each in found], known, now=NOON)


def _apply_policy(service: Service) -> object:
    return service.administration.apply_policy(SYSTEM, TIERS, read_policy(TIERS, "tiers.yaml"), now=NOON)


_EVE = Engineer(EngineerId(""), "eve", TeamName("research"), TierName("engineer"), "Eve Example")


def _hire(service: Service) -> object:
    return service.administration.apply_people(SYSTEM, [_EVE], now=NOON)


def _propose_people(service: Service) -> object:
    raised = replace(_EVE, roles=frozenset({Role.ENGINEER, Role.FINANCE}))
    file = PeopleFile("people.yaml", "f" * 64)
    return service.rights.apply_people(who(service, "olga"), [raised], file, now=NOON)


def _issued(service: Service) -> None:
    service.administration.issue_token(SYSTEM, "robot", frozenset({Role.AUDITOR}), _TOKEN_HASH, now=NOON)


def _propose_token(service: Service) -> object:
    auditor = frozenset({Role.AUDITOR})
    return service.rights.issue_token(who(service, "olga"), TokenRecord(_TOKEN_HASH, "robot", auditor), now=NOON)


def _revoke(service: Service) -> object:
    return service.access.revoke(SYSTEM, _TOKEN_HASH[:8], now=NOON)


def _forget(service: Service) -> object:
    return service.access.forget(SYSTEM, "ada", now=NOON)


def _pause(service: Service) -> object:
    return service.administration.pause(SYSTEM, Brake.LAUNCH, "a drill", now=NOON)


def _paused(service: Service) -> None:
    _pause(service)


def _resume(service: Service) -> None:
    service.administration.resume_brake(SYSTEM, Brake.LAUNCH, now=NOON)


def _join(service: Service) -> object:
    return join(service.store, service.world, who(service, "ada"), joins=True, now=NOON)


def _propose_package(service: Service) -> object:
    since = Instant(NOON - 30 * MS_PER_DAY)
    asked = Package(engineer_id(service, "ada"), 480 * MS_PER_HOUR, starts_at=since)
    return service.proposals.compensate(who(service, "pam"), asked, now=NOON, command=AGAIN)


_GOVERNING: dict[str, Script] = {
    "freeze": Script(nothing, _freeze),
    "thaw": Script(_frozen, _thaw),
    "donate": Script(lenient, _donate),
    "reject": Script(waiting("grant"), _reject, RefusalCode.WRONG_STATE),
    "withdraw": Script(waiting("grant"), _withdraw, RefusalCode.WRONG_STATE),
    "write off": Script(_closing, _write_off),
    "apply a policy": Script(nothing, _apply_policy, told_again=LOGGED),
    "apply people": Script(nothing, _hire, told_again=LOGGED),
    "propose people": Script(two_persons, _propose_people),
    "propose a package": Script(two_persons, _propose_package),
    "apply prices": Script(nothing, prices, told_again=LOGGED),
    "propose a token": Script(two_persons, _propose_token),
    "revoke a token": Script(_issued, _revoke, RefusalCode.UNKNOWN_TOKEN),
    "forget": Script(nothing, _forget, RefusalCode.UNKNOWN_ENGINEER),
    "pause": Script(nothing, _pause, told_again=LOGGED),
    "resume": Script(_paused, _resume, told_again=LOGGED),
    "join a leaderboard": Script(nothing, _join),
}

ALL = SCRIPTS | _GOVERNING | WORKING

WRITING = {
    "accounting.close_period.Periods._begin": "close",
    "accounting.close_period.Periods._end": "close",
    "accounting.close_period.Periods.settle": "write off",
    "accounting.price.Pricing.apply": "apply prices",
    "administration.Administration.apply_people": "apply people",
    "administration.Administration.apply_policy": "apply a policy",
    "administration.Administration.pause": "pause",
    "administration.Administration.resume_brake": "resume",
    "approvals.approve.Approvals.approve": "approve a grant",
    "approvals.approve.Approvals.reject": "reject",
    "approvals.approve.Approvals.withdraw": "withdraw",
    "approvals.paying.Payments.record": "pay",
    "approvals.propose.Proposals.apply_policy": "approve a policy",
    "approvals.propose.Proposals.apply_prices": "approve a prices",
    "approvals.propose.Proposals.compensate": "propose a package",
    "approvals.propose.Proposals.grant": "propose",
    "approvals.propose.Proposals.request": "request",
    "approvals.rights.RightsProposals.apply_people": "propose people",
    "approvals.rights.RightsProposals.issue_token": "propose a token",
    "asking.boards.join": "join a leaderboard",
    "awarding.awards.Awards.claw_back": "claw back",
    "awarding.awards.Awards.compensate": "compensate",
    "awarding.awards.Awards.freeze": "freeze",
    "awarding.awards.Awards.transfer": "transfer",
    "governance.access.Access.forget": "forget",
    "administration.Administration.issue_token": "issue a token",
    "asking.wanted.Exemptions.exempt": "exempt",
    "asking.wanted.Exemptions.withdraw": "withdraw an exemption",
    "commands.Commands.book": "book",
    "commands.Commands.extend": "extend",
    "commands.Commands.record_checkpoint": "checkpoint",
    "commands.Commands.resume": "resume a sandbox",
    "commands.Commands.stop": "stop",
    "governance.access.Access.revoke": "revoke a token",
    "sensing.burning.BurnAlerts.keep": "tell of a jump",
    "sensing.census.Census.run": "count nodes",
    "sensing.meter.Meter._count": "a refused body",
    "sensing.meter.Meter._opened": "windows",
    "sensing.meter.Meter.accept_inventory": "an inventory",
    "turning.catch_up": "hear of an outage",
    "turning.turn_due": "roll over",
}
"""The functions of `lifecycle/` that write, and the script in which each dies."""

_CYCLE = "tests/e2e/test_crash_points.py"
_TOKENS = "tests/adapters/sql/test_token_holds.py"

KILLED_ELSEWHERE = {
    "accounting.publish.Publisher._publish": "tests/adapters/sql/test_publishing.py",
    "accounting.publish.Publisher.publish_for": "tests/adapters/sql/test_publishing.py",
    "commands.Commands.cancel": _CYCLE,
    "commands.Commands.grant": _CYCLE,
    "cycle.Cycle._absorb": _CYCLE,
    "cycle.Cycle._record": _CYCLE,
    "awarding.draw_tokens.TokenDraws.charge": _TOKENS,
    "awarding.draw_tokens.TokenDraws.hold": _TOKENS,
    "awarding.draw_tokens.TokenDraws.release": _TOKENS,
}

OPENING = {"changing", "_changing"}
"""They open the transaction that the others name."""
