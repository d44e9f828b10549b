"""Who waits is woken once, when it is old; who left before is not."""

from scheduler.decision.ordering.ageing import Ageing
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.usage import ages_at
from tests.decision.builders import NOW, pool

RED = pool("red")
FIRST, SECOND = WorkloadId("w1"), WorkloadId("w2")


def _old_at(submitted_at: Instant) -> Instant:
    return ages_at(submitted_at, RED.ageing_ms)


def test_who_waits_too_long_is_due_once() -> None:
    ageing = Ageing()
    ageing.wait(RED, NOW, FIRST)
    assert list(ageing.pop_due(Instant(_old_at(NOW) - 1))) == []
    assert list(ageing.pop_due(_old_at(NOW))) == [FIRST]
    assert list(ageing.pop_due(_old_at(NOW))) == []


def test_who_left_in_time_is_not_due_and_the_others_still_are() -> None:
    ageing = Ageing()
    ageing.wait(RED, NOW, FIRST)
    ageing.wait(RED, NOW, SECOND)
    ageing.leave(RED, NOW, FIRST)
    assert list(ageing.pop_due(_old_at(NOW))) == [SECOND]


def test_without_a_pool_nobody_grows_old() -> None:
    ageing = Ageing()
    ageing.wait(None, NOW, FIRST)
    ageing.leave(None, NOW, FIRST)
    assert list(ageing.pop_due(Instant(2**60))) == []
