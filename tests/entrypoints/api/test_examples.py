"""The description of the API has an example of every body and of every answer, and each is what its schema says."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scheduler.entrypoints.api.examples import example_of
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.api.schemas import wrong
from tests.entrypoints.company import JOB
from tests.entrypoints.described import description

Media = Mapping[str, Any]


@pytest.fixture
def described() -> dict[str, Any]:
    return description()


def test_every_body_has_an_example(described: dict[str, Any]) -> None:
    bodies = [(place, media) for place, operation in _operations(described) for media in _bodies(operation)]
    assert len(bodies) > 20
    for place, media in bodies:
        schema = media["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        found = described["components"]["schemas"].get(name, schema)
        assert found.get("examples") or media.get("example"), place


def test_every_answer_has_an_example_that_is_what_its_schema_says(described: dict[str, Any]) -> None:
    answers = [(place, media) for place, operation in _operations(described) for media in _answers(operation)]
    assert len(answers) > 100
    for place, media in answers:
        assert "example" in media, place
        assert list(wrong(media["example"], media["schema"], described)) == [], place


def test_every_refusal_that_a_route_names_has_an_example(described: dict[str, Any]) -> None:
    for place, operation in _operations(described):
        for answer in operation["responses"].values():
            problem = answer.get("content", {}).get("application/problem+json")
            assert problem is None or all(each["value"]["code"] for each in problem.get("examples", {}).values()), (
                place
            )


def test_the_two_forms_of_an_amount_say_the_same() -> None:
    schema = {
        "type": "object",
        "properties": {
            "held_ms": {"type": "integer"},
            "held_hours": {"type": "string", "pattern": "x"},
            "cost": {"type": "string"},
            "cost_micro": {"type": "integer"},
        },
    }
    assert example_of(schema) == {"held_ms": 3_600_000, "held_hours": "1.0", "cost": "2.50", "cost_micro": 2_500_000}


async def test_a_real_answer_has_the_fields_of_its_example(as_: Client, described: dict[str, Any]) -> None:
    answer = (await as_("ada").post("/v1/workloads", json=JOB)).json()
    (media,) = _answers(described["paths"]["/v1/workloads"]["post"])
    assert set(answer) == set(media["example"])
    assert list(wrong(answer, media["schema"], described)) == []


def _operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def _bodies(operation: Mapping[str, Any]) -> list[Media]:
    return list(operation.get("requestBody", {}).get("content", {}).values())


def _answers(operation: Mapping[str, Any]) -> list[Media]:
    found = [answer.get("content", {}).get("application/json") for answer in operation["responses"].values()]
    return [media for media in found if media is not None]
