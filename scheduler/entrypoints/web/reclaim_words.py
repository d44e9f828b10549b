"""What became of work that rested, in the words of pages and of the command line."""

from collections.abc import Sequence

from scheduler.domain.units import MS_PER_MINUTE
from scheduler.entrypoints.web.formatting import duration

_TAKEN = {"suspend": "suspended", "stop": "ended"}
_HINDRANCES = {
    "dry-run": "the rule is a dry run",
    "report": "the rule only reports",
    "observing": "the service only observes",
    "no-checkpoint": "it wrote no checkpoint to go on from",
    "no-home": "it has neither a home nor a preStop hook",
    "gauge-alone": "nothing but a gauge, which misses short uses, tells of its rest",
}
LEFT_ALONE = "left alone"


def became_of(action: str, *, is_taken: bool) -> str:
    """`suspended`, `ended` or `left alone`."""
    return _TAKEN.get(action, action) if is_taken else LEFT_ALONE


def why_left_alone(hindrance: str) -> str:
    """What stood against it, as a part of a sentence; as it is kept where it is none of these."""
    return _HINDRANCES.get(hindrance, hindrance)


def came_back(standard_ms: int | None, others: Sequence[str]) -> str:
    """What its end gave back, in each unit that it was held in; None: the end is not settled."""
    if standard_ms is None:
        return "ending"
    return ", ".join([*([duration(standard_ms)] if standard_ms or not others else []), *others])


def rounded_up(length_ms: int) -> int:
    """To whole minutes: what is left of a window and what has passed of it come to the window."""
    return -(-length_ms // MS_PER_MINUTE) * MS_PER_MINUTE
