"""`allot cost` from the command line, over a company with prices."""

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.running import Service
from tests.entrypoints.at_work import ran_unseen
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import NOON, POLICY, SYSTEM, HandClock


def test_cost_shows_what_was_not_recovered_and_each_idle_guarantee(allot: Allot, service: Service) -> None:
    assert allot("cost", who="fin").code == 1, "without prices nothing has a cost"
    text = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    service.pricing.apply(SYSTEM, text, read_prices(text, "prices.yaml"), now=NOON)
    assert isinstance(service.clock, HandClock)
    service.clock.at = Instant(NOON + MS_PER_DAY)
    found = allot("cost", "--period", "2026-11", "--json", who="fin")
    assert found.code == 0, found.err
    assert found.json["unrecovered_micro"] == found.json["actual_micro"] - found.json["recovered_micro"]
    idle = [each["idle_ms"] for each in found.json["guarantees"]]
    assert idle
    assert all(ms % MS_PER_DAY == 0 for ms in idle), "since the policy came nobody has used anything"
    shown = allot("cost", "--period", "2026-11", who="fin")
    assert "not recovered" in shown.out
    assert "IDLE" in shown.out
    assert allot("cost", who="ada").code == 4


def test_what_was_recovered_beyond_the_cost_is_called_so(allot: Allot, service: Service) -> None:
    text = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    service.pricing.apply(SYSTEM, text, read_prices(text, "prices.yaml"), now=NOON)
    ran_unseen(service, "ada")  # and no node that could cost anything was seen
    shown = allot("cost", "--period", "2026-11", who="fin").out
    assert "recovered beyond it  2.50" in shown
    assert "not recovered" not in shown


def test_what_has_no_cost_is_said_where_its_cost_would_stand(allot: Allot, service: Service) -> None:
    text = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    bare = text[: text.index("# Measured energy")]
    service.pricing.apply(SYSTEM, bare, read_prices(bare, "prices.yaml"), now=NOON)
    found = allot("cost", "--period", "2026-11", "--json", who="fin")
    (unknown,) = found.json["unknown"]
    assert (unknown["account"], unknown["what"]) == ("electricity", "the price book has no electricity")
    shown = allot("cost", "--period", "2026-11", who="fin").out
    assert "not known from 2026-10-31 23:00 UTC on: the price book has no electricity" in " ".join(shown.split())
    assert "not recovered, as far as known" in shown
    exported = allot("export", "gl", "--period", "2026-11", who="fin").out
    running = allot("export", "gl", who="fin").out
    assert [text.splitlines()[0] for text in (exported, running)] == [
        "Journal lines of 2026-11, EUR",
        "Journal lines of 2026-W47, EUR",
    ]
    assert "The electricity is not known from 2026-10-31 23:00 UTC on" in " ".join(exported.split())
    hour = allot("prices", "hour", "--gpu-class", "H100", "--pool", "research", who="fin").out
    assert "EUR, electricity and hardware with it" in hour
