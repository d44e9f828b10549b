"""The audit: publishing a head now, and the cached balances compared with the journal."""

from dataclasses import dataclass

from starlette.responses import Response

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.people import Role
from scheduler.domain.units import Instant
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.lifecycle.governance.access import RoleHeld

router = api_router("/v1/audit", tags=["audit"])


@dataclass(frozen=True, slots=True)
class HeadView:
    """A signed head in short. `is_new` is false where nothing was written since the last: then it is that one."""

    number: int
    at: Instant
    rows: int
    key: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class BalanceDifferenceView:
    account: str
    unit: str
    cached: int
    rebuilt: int


@dataclass(frozen=True, slots=True)
class RebuildView:
    """Every cached balance beside the sum of its entries. Nothing is repaired."""

    ok: bool
    accounts: int
    differences: tuple[BalanceDifferenceView, ...]


@router.post(
    "/heads",
    summary="Sign and publish a head now",
    responses=answers.responds(
        HeadView, RefusalCode.HEADS_UNAVAILABLE, RefusalCode.HEAD_REWRITTEN, RefusalCode.KEY_NOT_ENDORSED
    ),
)
def publish(asked: Signed) -> Response:
    asked.caller.require(Role.AUDITOR, Role.FINANCE, Role.OPERATOR)
    publisher = asked.service.publisher
    if publisher is None:
        raise Unavailable(
            "this service publishes no heads",
            code=RefusalCode.HEADS_UNAVAILABLE,
            remedy="start it with --heads FOLDER and --signing-key FILE",
        )
    made = publisher.publish_for(asked.caller, request_id=asked.request_id)
    head = made if made is not None else publisher.last()
    rows = sum(tree.size for tree in head.trees.values())
    return answers.one(HeadView(head.number, head.at, rows, head.key, made is not None))


@router.get(
    "/rebuild", summary="Compare every cached balance with the journal", responses=answers.responds(RebuildView)
)
def rebuild(asked: Signed) -> Response:
    asked.caller.require(Role.AUDITOR, Role.FINANCE, Role.OPERATOR)
    with asked.service.store.reading() as books:
        accounts, found = books.journal.accounts(), books.journal.differences()
    differences = tuple(BalanceDifferenceView(str(d.account), d.unit, d.cached, d.rebuilt) for d in found)
    return answers.one(RebuildView(not differences, accounts, differences))


@router.get("/access", summary="Who holds which role", responses=answers.responds(RoleHeld, is_page=True))
def access(asked: Signed) -> Response:
    return answers.page(asked.service.access.review(asked.caller, asked.now))
