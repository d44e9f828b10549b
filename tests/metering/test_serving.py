"""Which pods served anybody, by the connections that their networks have accepted."""

import pytest

from scheduler.domain.units import Instant, PodUid
from scheduler.metering.cgroups import accepted_connections
from scheduler.metering.serving import Serving

QUIET, BUSY, NEW = PodUid("quiet"), PodUid("busy"), PodUid("new")
START, END = Instant(10_000), Instant(25_000)

TCP = "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab"


def test_who_accepted_a_connection_in_between_served_and_of_who_has_just_come_nothing_is_said() -> None:
    serving = Serving()
    serving.note(START, {QUIET: 3, BUSY: 3})
    serving.note(END, {QUIET: 3, BUSY: 4, NEW: 9})
    assert serving.between(START, END) == (BUSY,)


def test_where_either_end_was_not_read_nothing_is_said() -> None:
    serving = Serving()
    serving.note(START, {BUSY: 3})
    serving.note(END, None)
    assert serving.between(START, END) is None
    assert serving.between(START, START) is None


def test_a_counter_that_went_back_is_of_another_network_and_served_nobody() -> None:
    serving = Serving()
    serving.note(START, {BUSY: 30})
    serving.note(END, {BUSY: 2})
    assert serving.between(START, END) == ()


KERNELS: dict[str, tuple[str, int | None]] = {
    "as a kernel writes it": (f"Ip: Forwarding\nIp: 1\n{TCP}\nTcp: 1 200 120000 -1 7 42 0 0 1\nUdp: A\nUdp: 1\n", 42),
    "cut short": (f"{TCP}\nTcp: 1 200 120000\n", None),
    "of a network without TCP": ("Ip: Forwarding\nIp: 1\n", None),
    "empty": ("", None),
    "not a number": (f"{TCP}\nTcp: 1 200 120000 -1 7 ? 0 0 1\n", None),
}


@pytest.mark.parametrize(("snmp", "accepted"), KERNELS.values(), ids=KERNELS)
def test_accepted_connections_are_read_from_the_kernels_own_table(snmp: str, accepted: int | None) -> None:
    assert accepted_connections(snmp) == accepted
