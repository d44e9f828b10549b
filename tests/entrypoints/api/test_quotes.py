"""Quotes over HTTP: what would become of a job, with nothing submitted."""

from dataclasses import replace
from pathlib import Path

from scheduler.adapters.policy_files.prices import read_prices
from scheduler.decision.decide import step
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, PriorityClassName
from scheduler.entrypoints.running import Service
from tests.decision.builders import attempt
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON

ROOT = Path(__file__).parents[3]
PRICES = (ROOT / "policies/prices.yaml").read_text(encoding="utf-8")


def decided(service: Service) -> None:
    """As after a cycle whose launches were not recorded yet."""
    step(service.views.state, service.world.everything(), NOON)


def fill(service: Service) -> None:
    """Urgent work of Bob's, which nobody preempts, takes all but half of a node for two hours from now."""
    bob = next(person for person in service.world.people.values() if person.subject == "bob")
    running = [
        replace(
            attempt(f"r{number}", f"node-{number}", owner=bob.id, team="research", pool="research", gpus=gpus),
            gpu_class=GpuClassName("H100"),
            priority_class=PriorityClassName("urgent"),
            launched_at=NOON,
            started_at=NOON,
            time_limit_ms=2 * MS_PER_HOUR,
        )
        for number, gpus in enumerate((8, 8, 8, 4))
    ]
    service.world.put_attempts(running)
    decided(service)


async def test_a_job_that_fits_would_start_now_at_this_price(as_: Client, service: Service) -> None:
    decided(service)
    found = (await as_("ada").post("/v1/quotes", json=JOB)).json()

    assert (found["starts_now"], found["reason"]) == (True, "Launching")
    assert found["starts_from"] == found["starts_until"] == "2026-11-20T12:00:00Z"
    assert (found["asked_hours"], found["held_hours"], found["gpu_class"]) == ("16.0", "16.0", "H100")
    assert (found["cost"], found["currency"], found["sooner"]) == (None, "", [])
    assert (await as_("ada").get("/v1/workloads")).json()["items"] == []


async def test_what_is_known_of_prices_makes_it_money(as_: Client, service: Service) -> None:
    decided(service)
    service.world.price_book = read_prices(PRICES, "prices.yaml")
    found = (await as_("ada").post("/v1/quotes", json=JOB)).json()
    assert (found["cost"], found["currency"]) == ("40.00", "EUR")


async def test_what_waits_says_until_when_and_what_would_be_sooner(as_: Client, service: Service) -> None:
    fill(service)
    found = (await as_("ada").post("/v1/quotes", json={**JOB, "pods": 1, "priority_class": "standard"})).json()

    assert (found["starts_now"], found["reason"], found["victims"]) == (False, "Resources", 0)
    assert found["starts_from"] == "2026-11-20T12:09:00Z", (
        "an eighth of 60 % of two hours, as long as nothing is known"
    )
    assert found["starts_until"] == "2026-11-20T15:00:00Z", "the two hours and half of them"
    assert found["usual_per_mille"] == 600
    assert [(each["change"], each["starts_now"]) for each in found["sooner"]] == [
        ("4 GPUs instead of 8", True),
    ]
    assert found["sooner"][0]["asked_hours"] == "4.0"


async def test_a_quote_is_refused_where_the_job_would_be(as_: Client, service: Service) -> None:
    decided(service)
    refused = await as_("ada").post("/v1/quotes", json={**JOB, "gpus_per_pod": 9})
    assert (refused.status_code, refused.json()["code"]) == (422, "unplaceable")
    other = await as_("ada").post("/v1/quotes", json={**JOB, "owner": "bob"})
    assert (other.status_code, other.json()["code"]) == (403, "not-yours")


async def test_what_is_queued_is_explained_with_its_forecast(as_: Client, service: Service) -> None:
    ada = as_("ada")
    made = (await ada.post("/v1/workloads", json=JOB)).json()
    decided(service)
    found = (await ada.get(f"/v1/workloads/{made['id']}/explain")).json()
    assert found["forecast"]["starts_now"] is True
    assert [factor["name"] for factor in found["factors"]][:2] == ["pool", "priority"]
    for_lead = (await as_("lea").get(f"/v1/workloads/{made['id']}/explain")).json()
    assert for_lead["forecast"] is None
