"""Leaderboards: ranked by work that was done, never by what was consumed."""

from dataclasses import replace

import pytest

from scheduler.domain.units import EngineerId
from scheduler.metering.leaderboard import RankedBy, Standing, ranked

H = 3_600_000
ADA = Standing(EngineerId("e-1"), "Ada", 10 * H, 800, 100, 0)
BOB = Standing(EngineerId("e-2"), "Bob", 30 * H, 400, 300, 0)


def ranks(*standings: Standing, by: RankedBy = RankedBy.USEFUL) -> dict[str, int | None]:
    return {each.name: each.rank for each in ranked(standings, by)}


def test_useful_hours_or_efficiency_rank() -> None:
    assert ranks(ADA, BOB) == {"Bob": 1, "Ada": 2}
    assert ranks(ADA, BOB, by=RankedBy.EFFICIENCY) == {"Ada": 1, "Bob": 2}


BURNING = replace(BOB, useful_ms=1000 * H, mean_permille=990, rested_permille=0, tokens=10**12)


@pytest.mark.parametrize("by", RankedBy)
@pytest.mark.parametrize(
    "standing",
    [
        replace(BURNING, rested_permille=501),
        replace(BURNING, useful_ms=H - 1),
        replace(BURNING, mean_permille=None),
        replace(BURNING, rested_permille=None),
    ],
    ids=["rested", "an hour not reached", "not read", "no state known"],
)
def test_who_burns_or_was_hardly_read_is_listed_last_without_a_rank(by: RankedBy, standing: Standing) -> None:
    found = ranked([standing, ADA], by)
    assert [(each.name, each.rank) for each in found] == [("Ada", 1), ("Bob", None)]


def test_tokens_rank_nobody_and_equals_share_a_rank() -> None:
    many = replace(ADA, engineer=EngineerId("e-3"), name="Eve", tokens=10**12)
    assert ranks(ADA, many, replace(BOB, useful_ms=2 * H)) == {"Ada": 1, "Eve": 1, "Bob": 3}
