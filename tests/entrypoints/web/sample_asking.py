"""Bookings, requests and proposals as their views give them."""

from scheduler.domain.allowances import HolderKind
from scheduler.domain.approvals import ProposalKind, ProposalState
from scheduler.domain.bookings import BookingPhase
from scheduler.domain.people import Role
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.views.approvals import ApprovalView, MoveView
from scheduler.lifecycle.views.bookings import BookingView
from tests.entrypoints.web.sample_people import DAY, NOW, H


def booking(name: str, owner: str, phase: BookingPhase, starts_at: int, **changes: object) -> BookingView:
    given: dict[str, object] = {
        "id": WorkloadId(f"w-{name}"),
        "name": name,
        "owner": owner,
        "team": "research",
        "project": "aurora",
        "gpu_class": "h100",
        "gpus": 8,
        "nodes": ("g-014",),
        "phase": phase,
        "starts_at": Instant(starts_at),
        "ends_at": Instant(starts_at + 4 * H),
        "held": 32 * H,
        "charged": 0,
        "used_inside": 0,
        "unused": 0,
        "late_fee": 0,
        "runs_inside": (),
        **changes,
    }
    return BookingView(**given)  # type: ignore[arg-type]  # the fields above, changed


def bookings() -> list[BookingView]:
    return [
        booking(
            "last-week", "mara@example.com", BookingPhase.OVER, NOW - 7 * DAY, held=0, charged=32 * H, unused=5 * H
        ),
        booking(
            "demo-day", "mara@example.com", BookingPhase.ACTIVE, NOW - H, held=24 * H, charged=8 * H, late_fee=12 * H
        ),
        booking(
            "final-run",
            "mara@example.com",
            BookingPhase.BOOKED,
            NOW + 3 * DAY,
            notice="Your booking was moved to g-017: g-014 is cordoned.",
        ),
        booking("teammates", "lea@example.com", BookingPhase.BOOKED, NOW + 4 * DAY),
    ]


def approval(name: str, kind: ProposalKind, **changes: object) -> ApprovalView:
    given: dict[str, object] = {
        "id": f"p-{name}",
        "hash": "5d41402abc4b2a76b9719d911017c592ae2f4d1a",
        "kind": kind,
        "state": ProposalState.WAITING,
        "asked_at": Instant(NOW - 2 * H),
        "asked_by": "ada@example.com",
        "role": "engineer",
        "reason": "the ablations for the paper",
        "holder_kind": HolderKind.ENGINEER,
        "holder": "ada@example.com",
        "source": None,
        "amount_ms": 40 * H,
        "allowance": None,
        "gpu_classes": None,
        "until": None,
        "file": None,
        "deciders": (Role.FINANCE, Role.OPERATOR),
        "raises": (),
        "moves": (),
        **changes,
    }
    return ApprovalView(**given)  # type: ignore[arg-type]  # the fields above, changed


def waiting_approvals() -> list[ApprovalView]:
    nobody = {"holder_kind": None, "holder": None, "amount_ms": None}
    raised = PolicyChange("tiers.staff.allowance_gpu_hours", 240, 300, "tier staff")
    return [
        approval("hours", ProposalKind.HOURS, gpu_classes=("h100",), until=Instant(NOW + 9 * DAY)),
        approval("extension", ProposalKind.EXTENSION, allowance="g-7", amount_ms=None, until=Instant(NOW + 9 * DAY)),
        approval("class", ProposalKind.GPU_CLASS, allowance="g-7", gpu_classes=("h100",)),
        approval("grant", ProposalKind.GRANT, source="ad-hoc"),
        approval(
            "package", ProposalKind.PACKAGE, source="compensation", file="hours, standard", deciders=(Role.PEOPLE,)
        ),
        approval("policy", ProposalKind.POLICY, file="next.yaml", raises=(raised,), text="version: 1\n", **nobody),
        approval("prices", ProposalKind.PRICES, file="prices.yaml", **nobody),
    ]


def own_approvals() -> list[ApprovalView]:
    def moved(state: ProposalState, reason: str, amount_ms: int | None = None) -> MoveView:
        return MoveView(state, Instant(NOW - H), "finn@example.com", "finance", reason, amount_ms, None, "g-9")

    return [
        approval("mine", ProposalKind.HOURS),
        approval(
            "less",
            ProposalKind.HOURS,
            state=ProposalState.APPROVED,
            moves=(moved(ProposalState.APPROVED, "try with these", 20 * H),),
        ),
        approval(
            "no", ProposalKind.HOURS, state=ProposalState.REJECTED, moves=(moved(ProposalState.REJECTED, "no room"),)
        ),
        approval(
            "back", ProposalKind.HOURS, state=ProposalState.WITHDRAWN, moves=(moved(ProposalState.WITHDRAWN, ""),)
        ),
    ]
