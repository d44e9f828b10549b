"""Sentences call work and people by name; what programs read keeps the ids."""

from scheduler.domain.reasons import Reason
from scheduler.lifecycle.memory.named import sentence_named
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import Company


def test_who_is_ahead_is_called_by_name_and_the_evidence_keeps_the_id(company: Company) -> None:
    company.grant("ada", 100)
    ahead, behind = company.submit(name="pretrain"), company.submit(name="evaluate")
    with company.changing() as batch:
        batch.say(behind.id, Reason.PRIORITY, {"ahead": ahead.id, "comparison": "both standard, submitted earlier"})
    view = Views(company.store, company.world).workload(company.caller("ada"), behind.id, company.now)
    assert view.verdict.sentence == "Waiting: pretrain is ahead for the same GPUs (both standard, submitted earlier)."
    assert view.verdict.evidence["ahead"] == ahead.id


def test_each_of_several_is_called_by_name_and_what_is_known_no_more_by_its_id(company: Company) -> None:
    company.grant("ada", 100)
    first, second = company.submit(name="prepare"), company.submit(name="train")
    told = sentence_named(company.world, Reason.DEPENDENCY, {"after": f"{first.id}, {second.id}, w-long-gone"})
    assert told == "Waiting for prepare, train, w-long-gone to complete."


def test_a_booking_is_called_by_its_name(company: Company) -> None:
    company.grant("ada", 100)
    booking = company.submit(name="keynote-demo")
    evidence = {"booking": booking.id, "gpu_class": "H100", "at": "2026-11-21T09:00:00Z", "limit": "8.0 h"}
    assert "(booking keynote-demo)" in sentence_named(company.world, Reason.BOOKED, evidence)
