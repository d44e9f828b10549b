"""What an attempt's devices come to together."""

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.spells import Spell, together, while_any_is_held

IDLE, ACTIVE, UNKNOWN = IdleState.IDLE_HELD, IdleState.ACTIVE, IdleState.UNKNOWN


def spell(start: int, end: int, state: IdleState, has_work: bool = False, cpu_millicores: int | None = None) -> Spell:
    return Spell(Instant(start), Instant(end), state, has_work, cpu_millicores)


def test_an_attempt_has_work_while_any_of_its_devices_tells_of_it() -> None:
    devices = [
        [spell(0, 4, UNKNOWN, has_work=True, cpu_millicores=100), spell(4, 8, IDLE)],
        [spell(0, 6, IDLE, cpu_millicores=300), spell(6, 8, ACTIVE, has_work=True)],
    ]
    assert together(devices) == [
        spell(0, 4, UNKNOWN, has_work=True, cpu_millicores=300),
        spell(4, 6, IDLE, cpu_millicores=300),
        spell(6, 8, ACTIVE, has_work=True),
    ]


def test_a_device_is_unknown_where_it_was_not_read() -> None:
    holed = [spell(0, 2, IDLE), spell(3, 5, IDLE)]
    assert together([holed]) == [spell(0, 2, IDLE), spell(2, 3, UNKNOWN), spell(3, 5, IDLE)]
    assert together([holed, [spell(0, 4, IDLE)]])[-1] == spell(4, 5, UNKNOWN)


def test_a_device_is_looked_at_beside_its_attempt_only_while_another_of_it_is_held() -> None:
    first, second = GpuUuid("GPU-a"), GpuUuid("GPU-b")
    held = {first: [spell(2, 6, IDLE)], second: [spell(4, 9, IDLE)]}
    beside = {first: [spell(0, 1, ACTIVE), spell(6, 8, ACTIVE), spell(8, 12, UNKNOWN)], second: [spell(0, 3, ACTIVE)]}
    assert while_any_is_held(held, beside) == [
        [spell(2, 6, IDLE), spell(6, 8, ACTIVE), spell(8, 9, UNKNOWN)],
        [spell(2, 3, ACTIVE), spell(4, 9, IDLE)],
    ]
