"""Tables fit the terminal: what is too long wraps in the last column that may, and no instant is broken in two."""

import pytest

from scheduler.entrypoints.cli.output import Column, days_of, print_table, told


def test_a_table_that_is_too_wide_wraps_its_last_sentence_and_no_instant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns = (Column("WHEN (UTC)"), Column("REASON"), Column("VERDICT", width_max=44))
    print_table(
        columns, [("2026-11-21 18:16", "AwaitingPreemption", "Waiting for 8 × H100 that others are giving up.")]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("2026-11-21 18:16  AwaitingPreemption  Waiting for")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("band", "read"),
    [
        ((), ""),
        (("2026-11-20T08:00:00Z", "2026-11-20T20:00:00Z"), "2026-11-20"),
        (("2026-11-20T08:00:00Z", "2026-11-22T20:00:00Z"), "2026-11-20 to 2026-11-22"),
    ],
)
def test_a_band_of_days_is_one_day_where_both_ends_fall_on_it(band: tuple[str, ...], read: str) -> None:
    assert days_of(band) == read


def test_instants_that_programs_wrote_are_told_as_people_read_them() -> None:
    assert told("booked from 2026-11-21T09:00:00.250Z on") == "booked from 2026-11-21 09:00 UTC on"
