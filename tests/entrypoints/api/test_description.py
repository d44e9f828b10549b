"""The description of the API is true for a generated client: who may ask, what it is answered, what it is refused with."""

import re
from ast import literal_eval
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scheduler.entrypoints.api.components import with_components
from scheduler.entrypoints.api.validation import WRITTEN_AS
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.api.schemas import wrong
from tests.entrypoints.company import JOB
from tests.entrypoints.described import description

PROBLEM = "application/problem+json"
OPEN_TO_ALL = {"/healthz", "/livez", "/readyz", "/v1/problems/{code}", "/v1/demo/tokens"}

HOURS_ANSWERED = r"^-?\d+\.\d$"


@pytest.fixture
def described() -> dict[str, Any]:
    return description()


def test_operations_have_names_of_their_own(described: dict[str, Any]) -> None:
    names = Counter(operation["operationId"] for _, operation in _operations(described))
    assert [name for name, count in names.items() if count > 1] == []
    assert {"workloads_submit", "allowances_statement_signed", "brakes_resume"} <= set(names)


def test_every_operation_says_that_a_token_is_needed_but_those_that_need_none(described: dict[str, Any]) -> None:
    assert described["security"] == [{"bearer": []}]
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {path for path, operation in _operations(described) if operation.get("security") == []} == OPEN_TO_ALL


def test_a_shape_with_a_name_is_written_once_so_that_a_generated_client_has_one_class_of_it(
    described: dict[str, Any],
) -> None:
    answers = [answer for _, operation in _operations(described) for answer in operation["responses"].values()]
    schemas = [media["schema"] for answer in answers for media in answer.get("content", {}).values()]
    assert "'title': '" not in str(schemas)
    shapes = described["components"]["schemas"]
    assert shapes["PageOfWorkloadView"]["properties"]["items"]["items"] == {
        "$ref": "#/components/schemas/WorkloadView"
    }
    referred = set(re.findall("#/components/schemas/([^']+)", str(described)))
    assert referred <= set(shapes)


def test_two_shapes_of_one_name_are_refused() -> None:
    def answering(field: str) -> dict[str, Any]:
        schema = {"title": "Share", "type": "object", "properties": {field: {"type": "string"}}}
        return {"get": {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}}

    both = {"components": {"schemas": {}}, "paths": {"/a": answering("a"), "/b": answering("b")}}
    with pytest.raises(ValueError, match="two shapes of the API are called Share"):
        with_components(both)


def test_what_is_text_alone_is_not_described_as_json(described: dict[str, Any]) -> None:
    for path in ("/v1/gpu-metrics", "/v1/statement/csv", "/v1/finance/focus"):
        (media,) = described["paths"][path]["get"]["responses"]["200"]["content"]
        assert media.startswith("text/"), path


def test_every_refusal_is_described_as_the_problem_that_it_is(described: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(described)
    for path, operation in _operations(described):
        problems = [
            answer["content"].get(PROBLEM) for answer in operation["responses"].values() if "content" in answer
        ]
        found = [media["schema"]["$ref"] for media in problems if media is not None]
        assert set(found) == {"#/components/schemas/Problem"}, path
        assert PROBLEM in operation["responses"]["default"]["content"], path


async def test_an_address_names_all_the_methods_that_it_takes(described: dict[str, Any], as_: Client) -> None:
    for path, operations in described["paths"].items():
        documented = {method.upper() for method in operations}
        answer = await as_("ada").request("OPTIONS", re.sub(r"{[^}]+}", "x", path))
        assert answer.status_code == 405, path
        expected = documented | {"HEAD"} if "GET" in documented else documented
        assert expected <= set(answer.headers["allow"].split(", ")), path
    people = await as_("ada").request("PATCH", "/v1/people")
    assert people.headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/cluster?unknown=1", None),
        ("GET", "/v1/nothing-here", None),
        ("PUT", "/v1/cluster", None),
        ("POST", "/v1/workloads", {"gpus_per_pod": -1, "unknown": True}),
        ("DELETE", "/v1/workloads/nope/exemption", None),
    ],
)
async def test_a_real_refusal_is_as_described(
    as_: Client, described: dict[str, Any], method: str, path: str, body: object
) -> None:
    answer = await as_("ada").request(method, path, json=body)
    assert answer.headers["content-type"] == PROBLEM
    assert list(wrong(answer.json(), described["components"]["schemas"]["Problem"], described)) == []
    assert set(answer.json()) <= set(described["components"]["schemas"]["Problem"]["properties"])


async def test_a_probe_is_described_as_it_answers(as_: Client, described: dict[str, Any]) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        answer = await as_(None).get(path)
        media = described["paths"][path]["get"]["responses"][str(answer.status_code)]["content"]["application/json"]
        assert list(wrong(answer.json(), media["schema"], described)) == [], path


def test_every_pattern_that_a_request_is_held_to_is_refused_in_words(described: dict[str, Any]) -> None:
    asked = [operation.get("parameters", []) for _, operation in _operations(described)]
    patterns = set(re.findall(r"'pattern': ('[^']*')", str([asked, described["components"]["schemas"]])))
    assert {literal_eval(pattern) for pattern in patterns} - {HOURS_ANSWERED} == set(WRITTEN_AS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a\tb", "text of one line, without control characters"), ("  ", "at least 1 character")],
    ids=["a tab", "blanks alone"],
)
async def test_a_name_that_cannot_be_told_apart_is_refused_in_words(as_: Client, name: str, expected: str) -> None:
    answer = (await as_("ada").post("/v1/workloads", json={**JOB, "name": name})).json()
    assert (answer["code"], answer["where"], answer["expected"]) == ("invalid-value", "name", expected)


async def test_blanks_around_a_name_are_no_part_of_it(as_: Client) -> None:
    answer = await as_("ada").post("/v1/workloads", json={**JOB, "name": "  train "})
    assert answer.json()["name"] == "train"


def _operations(described: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for operation in methods.values():
            yield path, operation
