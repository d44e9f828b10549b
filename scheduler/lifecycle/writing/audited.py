"""What the audit log keeps of a thing before and after it was changed: JSON, with people by their opaque ids."""

import json

from scheduler.domain.brakes import Pause
from scheduler.domain.idleness import Exemption
from scheduler.domain.workloads import Attempt, Workload
from scheduler.ledger.token_holds import TokenHold


def workload_told(workload: Workload) -> str:
    """What a person can change of a workload: its state, why it is in it, and its time limit."""
    return _text(
        state=workload.state.value,
        reason=workload.state_reason.value,
        time_limit_ms=workload.spec.time_limit_ms,
    )


def checkpoint_told(attempt: Attempt) -> str:
    """When its work was last said to be saved: a refund counts from there."""
    return "" if attempt.checkpointed_at is None else _text(checkpointed_at=attempt.checkpointed_at)


def pause_told(pause: Pause | None) -> str:
    return "" if pause is None else _text(why=pause.why, since=pause.since)


def exemption_told(exemption: Exemption | None) -> str:
    return "" if exemption is None else _text(why=exemption.why, expires_at=exemption.expires_at)


def token_hold_told(hold: TokenHold) -> str:
    """What a gateway set aside for whom, and what of it is charged."""
    return _text(owner=hold.owner, model=hold.model, tokens=hold.tokens, used=hold.used, state=hold.state.value)


def _text(**said: object) -> str:
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)
