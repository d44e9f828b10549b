"""Instants as people type them, of whom many know the words of Slurm's `--begin`."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.entrypoints.cli.instants import parse_day, parse_instant

NOW = datetime(2026, 11, 23, 20, 43, 12, tzinfo=UTC)


def read(text: str, now: datetime = NOW) -> str | None:
    return parse_instant(text, "--begin", lambda: now)


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0, *, month: int = 11) -> str:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T20:00:00+01:00", "2026-11-21T20:00:00+01:00"),
        ("2026-11-21T20:00:00Z", at(21, 20)),
        ("2026-12-01", at(1, month=12)),
        ("2026-12-01T09:30", at(1, 9, 30, month=12)),
        ("2026-12-01T09:30:05", at(1, 9, 30, 5, month=12)),
        ("2026-12-01 09:30", at(1, 9, 30, month=12)),
        ("22:00", at(23, 22)),
        ("8:00", at(24, 8)),
        ("20:43", at(24, 20, 43)),
        ("20:43:12", at(24, 20, 43, 12)),
        ("20:43:13", at(23, 20, 43, 13)),
        ("10:30 PM", at(23, 22, 30)),
        ("10:30pm", at(23, 22, 30)),
        ("12:00am", at(24)),
        ("12:15pm", at(24, 12, 15)),
        ("midnight", at(24)),
        ("noon", at(24, 12)),
        ("elevenses", at(24, 11)),
        ("fika", at(24, 15)),
        ("teatime", at(24, 16)),
        ("today", at(23)),
        ("today 08:00", at(23, 8)),
        ("today 22:00", at(23, 22)),
        ("tomorrow", at(24)),
        ("Tomorrow", at(24)),
        ("tomorrow 22:00", at(24, 22)),
        (" tomorrow  noon ", at(24, 12)),
        ("now", at(23, 20, 43, 12)),
        ("now+60", at(23, 20, 44, 12)),
        ("now+1hour", at(23, 21, 43, 12)),
        ("now+2hours", at(23, 22, 43, 12)),
        ("now + 2 hours", at(23, 22, 43, 12)),
        ("now+30minutes", at(23, 21, 13, 12)),
        ("now+5seconds", at(23, 20, 43, 17)),
        ("now+1day", at(24, 20, 43, 12)),
        ("now+2weeks", at(7, 20, 43, 12, month=12)),
        ("now+1h30m", at(23, 22, 13, 12)),
        ("now+2d", at(25, 20, 43, 12)),
        ("now-1hour", at(23, 19, 43, 12)),
        ("now - 7 days", at(16, 20, 43, 12)),
        ("now-1h30m", at(23, 19, 13, 12)),
        ("yesterday", at(22)),
        ("yesterday 08:00", at(22, 8)),
    ],
)
def test_an_instant_is_read_as_slurm_has_it_and_in_utc(text: str, instant: str) -> None:
    assert read(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "soon",
        "22",
        "24:00",
        "22:60",
        "22:00:60",
        "8:5",
        "13:00pm",
        "0:30am",
        "२२:००",
        "12/01",
        "12/01/26",
        "120126",
        "01.12.2026",
        "2026-13-01",
        "2026-02-29",
        "2026-12-01 noonish",
        "now+",
        "now-",
        "now--1",
        "now+1_0",
        "now+1fortnight",
        "now+-1",
        "now+999999999weeks",
        "nowhere",
        "tomorrow+1",
        "tomorrow tomorrow",
        "today soon",
    ],
)
def test_what_is_no_instant_or_not_plain_is_refused_in_the_name_of_the_option(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    assert (refused.value.where, refused.value.code) == ("--begin", RefusalCode.INVALID_VALUE)
    assert "in UTC" in refused.value.expected


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-01", "2026-12-01"),
        (" 2026-12-01", "2026-12-01"),
        ("today", "2026-11-23"),
        ("Yesterday", "2026-11-22"),
        ("tomorrow", "2026-11-24"),
        ("yesterday 08:00", at(22, 8)),
        ("now", at(23, 20, 43, 12)),
        ("2026-12-01T00:00", at(1, month=12)),
    ],
)
def test_where_the_api_reads_days_in_the_policys_time_zone_a_day_alone_stays_one(text: str, day: str) -> None:
    assert parse_day(text, "--from", lambda: NOW) == day
    assert parse_day(None, "--from", lambda: NOW) is None
    with pytest.raises(InvalidInput):
        parse_day("2026-02-29", "--from", lambda: NOW)


def test_the_clock_is_asked_only_for_what_is_said_by_it() -> None:
    def nobody() -> datetime:
        raise AssertionError("it was asked")

    assert parse_instant("2026-12-01", "--begin", nobody) == at(1, month=12)
    assert parse_instant(None, "--begin", nobody) is None
    with pytest.raises(InvalidInput):
        parse_instant("soon", "--begin", nobody)


@given(
    now=st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    offset=st.integers(-12, 14),
    clock_time=st.times(),
)
def test_a_time_of_day_is_the_next_one_in_utc_whatever_the_clock_is_written_in(
    now: datetime, offset: int, clock_time: time
) -> None:
    text = f"{clock_time:%H:%M:%S}"
    written = now.astimezone(timezone(timedelta(hours=offset)))
    found = datetime.fromisoformat(read(text, written) or "")
    assert timedelta(0) < found - now <= timedelta(days=1)
    assert f"{found:%H:%M:%S%z}" == f"{text}+0000"
