"""What pods used of CPUs between two readings of their groups' counters."""

from scheduler.domain.units import Instant, PodUid
from scheduler.metering.cgroups import used_microseconds_v2
from scheduler.metering.cpu_use import CpuUse
from scheduler.metering.windows import CPU_MILLICORES_MIN, PodCpu

OLD, NEW = PodUid("old"), PodUid("new")
START, END = Instant(10_000), Instant(25_000)


def test_a_pod_that_began_in_between_used_all_that_it_has_and_one_that_just_reaches_the_least_is_told_of() -> None:
    use = CpuUse()
    use.note(START, {OLD: 5_000_000})
    use.note(END, {OLD: 5_000_000 + CPU_MILLICORES_MIN * 15_000, NEW: 30_000_000})
    assert use.between(START, END) == (PodCpu(NEW, 2_000), PodCpu(OLD, CPU_MILLICORES_MIN))


def test_a_node_on_which_no_pod_is_was_read_all_the_same() -> None:
    use = CpuUse()
    use.note(START, {})
    use.note(END, {NEW: 15_000_000})
    assert use.between(START, END) == (PodCpu(NEW, 1_000),)


def test_of_no_time_nothing_is_said() -> None:
    use = CpuUse()
    use.note(START, {OLD: 1})
    assert use.between(START, START) is None
    assert use.between(START, END) is None


def test_a_group_s_time_is_all_of_it_and_not_that_of_its_programs_alone() -> None:
    assert used_microseconds_v2("user_usec 7\nsystem_usec 2\nusage_usec 9\n") == 9
