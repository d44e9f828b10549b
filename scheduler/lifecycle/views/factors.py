"""The factors of a workload's place in the queue, each with its value and what it means, as Slurm's sprio prints them."""

from scheduler.decision.ordering.queue import STANDING
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
    if explanation.place is not None and sees_pay:
        factors.append(_of_owner(explanation, explanation.place))
        factors.append(
            FactorView("importance", f"{explanation.importance / 1000:g}", "of its project; divides (10 − band)")
        )
        factors.append(_standing(explanation))
    since = iso(explanation.waits_since)
    age = f"waits since {since}" if explanation.waits_already else f"counts from {since} on"
    factors.append(FactorView("age", age, "among equals, the earlier goes first"))
    if explanation.ages_at is not None:
        waits = (
            "goes before everything younger" if explanation.is_aged else f"goes first from {iso(explanation.ages_at)}"
        )
        factors.append(FactorView("ageing", waits, "what has waited that long waits for nothing younger"))
    elif explanation.rank:
        factors.append(_not_ageing(explanation))
    return tuple(factors)


def _not_ageing(explanation: Explanation) -> FactorView:
    if not explanation.ages_behind:
        return FactorView("ageing", "not yet", "it begins to grow old with the next decision")
    return FactorView(
        "ageing",
        f"not yet, behind {explanation.ages_behind} of the same owner",
        f"of one engineer's work in the pool {explanation.ageing_at_once} grow old at once, those that wait longest",
    )


def _standing(explanation: Explanation) -> FactorView:
    if explanation.is_aged:
        return FactorView("standing", "–", "counts no more for what has aged")
    if not explanation.rank:
        return FactorView("standing", "–", "it does not stand in line yet")
    standing = f"{explanation.standing * 1000 / STANDING:.3f}"
    return FactorView("standing", standing, "the quotient; within a priority, the smaller goes first")


def _of_owner(explanation: Explanation, place: int) -> FactorView:
    band = BANDS - 1 - place
    if explanation.share is not None:
        share = f"band {band} of {BANDS - 1} ({explanation.share / 10_000:.2f} % of the cluster)"
        return FactorView("fair share", share, "who has used less of late goes first")
    pace = f"band {band} of {BANDS - 1} ({(explanation.pace or 0) / 10:+.1f} %)"
    return FactorView("pace", pace, "who is behind their allowance's plan goes first")
