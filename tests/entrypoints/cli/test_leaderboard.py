"""`allot leaderboard` from the command line."""

from tests.entrypoints.cli.conftest import Allot


def test_one_joins_looks_and_leaves(allot: Allot) -> None:
    assert allot("leaderboard", "show").code == 4
    assert allot("leaderboard", "join").code == 0
    shown = allot("leaderboard", "show")
    assert (shown.code, "1 of" in shown.out, "USEFUL" in shown.out) == (0, True, True)
    assert allot("leaderboard", "show", "--tier", "engineer", "--by", "efficiency", "--json").json["ranked_by"] == (
        "efficiency"
    )
    assert allot("leaderboard", "leave", "--json").json == {"ok": True}
    assert allot("leaderboard", "show").code == 4
