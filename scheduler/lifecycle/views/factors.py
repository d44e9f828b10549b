"""The factors of a workload's place in the queue, each with its value and what it means, as Slurm's sprio prints them."""

from scheduler.decision.state import Explanation
from scheduler.domain.pace import BANDS
from scheduler.domain.periods import iso
from scheduler.lifecycle.views.shapes import FactorView


def order_factors(explanation: Explanation | None, *, sees_pay: bool) -> tuple[FactorView, ...]:
    """In the order in which they are compared. Pace is pay data: shown to who may see the owner's balance."""
    if explanation is None:
        return ()
    order = explanation.order.value if explanation.order is not None else "none"
    factors = [
        FactorView("pool", explanation.pool or "–", f"whose queue it stands in, ordered by {order}"),
        FactorView("priority", f"{explanation.priority_class} ({explanation.priority})", "higher goes first"),
    ]
    if explanation.pace_band is not None and sees_pay:
        pace = f"band {explanation.pace_band} of {BANDS - 1} ({(explanation.pace or 0) / 10:+.1f} %)"
        factors.append(FactorView("pace", pace, "who is behind their allowance's plan goes first"))
    submitted = iso(explanation.submitted_at)
    factors.append(FactorView("age", f"submitted {submitted}", "among equals, the earlier goes first"))
    return tuple(factors)
