"""At which weight and class factor an allowance pays for an attempt: pay keeps those of its grant where they buy more."""

from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import PerMille
from scheduler.domain.workloads import Attempt


def rate_paid(attempt: Attempt, kept: KeptTerms | None) -> tuple[PerMille, PerMille]:
    """(weight, class factor), both in per mille, of a payer in standard time: its own where it has kept cheaper ones."""
    then = kept.rate(attempt.gpu_class, attempt.priority_class) if kept is not None else None
    if then is None or then[0] * then[1] >= attempt.weight * attempt.class_factor:
        return attempt.weight, attempt.class_factor
    return then
