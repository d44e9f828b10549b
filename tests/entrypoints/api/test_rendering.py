"""Views as JSON: exact integers beside readable hours, instants in UTC, and nothing that is absent as 0."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_type_hints

import orjson
import pytest

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.units import AllowanceId, GpuClassName, Instant
from scheduler.entrypoints.api.rendering import GPU_TIME_FIELDS, dumps, render
from scheduler.entrypoints.api.schema import schema_of
from scheduler.lifecycle.views import shapes

VIEWS = [
    shape
    for shape in vars(shapes).values()
    if dataclasses.is_dataclass(shape) and shape.__module__ == shapes.__name__
]

COUNTS = {
    "attempts",
    "busy",
    "class_factor",
    "engineers",
    "free",
    "gpus",
    "gpus_per_pod",
    "idle",
    "in_use",
    "index",
    "lines_left_out",
    "number",
    "outside",
    "pace",
    "pods",
    "pods_now",
    "queued",
    "running",
    "seq",
    "weight",
}
"""Whole numbers that are no GPU time, and no duration that says its unit."""


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    at: Instant
    colour: Colour


@dataclass(frozen=True)
class Outer:
    charged: int
    gpu_ms: int
    pods: int
    maybe: Instant | None
    inners: tuple[Inner, ...]
    points: tuple[tuple[Instant, int], ...]
    names: frozenset[str]
    numbers: dict[str, int | str]

    @property
    def gpus(self) -> int:
        return self.pods * 2


def test_a_value_is_rendered_by_the_types_of_its_fields() -> None:
    outer = Outer(
        charged=5_400_000,
        gpu_ms=3_600_000,
        pods=3,
        maybe=None,
        inners=(Inner(Instant(1_000), Colour.RED),),
        points=((Instant(0), 7),),
        names=frozenset({"b", "a"}),
        numbers={"free": 2, "node": "n1"},
    )
    assert render(outer) == {
        "charged_ms": 5_400_000,
        "charged_hours": "1.5",
        "gpu_ms": 3_600_000,
        "gpu_hours": "1.0",
        "pods": 3,
        "maybe": None,
        "inners": [{"at": "1970-01-01T00:00:01Z", "colour": "red"}],
        "points": [["1970-01-01T00:00:00Z", 7]],
        "names": ["a", "b"],
        "numbers": {"free": 2, "node": "n1"},
        "gpus": 6,
    }


def test_a_domain_value_is_rendered_like_a_view() -> None:
    allowance = Allowance(
        id=AllowanceId("g-1"),
        holder=Holder(HolderKind.TEAM, "vision"),
        source=AllowanceSource.AD_HOC,
        amount=360_000,
        starts_at=Instant(0),
        expires_at=None,
        granted_at=Instant(0),
        gpu_classes=frozenset({GpuClassName("h100")}),
    )
    rendered = orjson.loads(dumps(allowance))
    assert (rendered["amount_ms"], rendered["amount_hours"]) == (360_000, "0.1")
    assert rendered["holder"] == {"kind": "team", "id": "vision"}
    assert (rendered["expires_at"], rendered["gpu_classes"]) == (None, ["h100"])


@pytest.mark.parametrize("shape", VIEWS, ids=lambda shape: shape.__name__)
def test_every_whole_number_of_a_view_is_either_gpu_time_or_a_count(shape: type) -> None:
    hints = get_type_hints(shape)
    numbers = {field.name for field in dataclasses.fields(shape) if hints[field.name] is int}
    named_by_unit = {name for name in numbers if name.endswith(("_ms", "_micro"))}
    assert numbers <= GPU_TIME_FIELDS | COUNTS | named_by_unit


@pytest.mark.parametrize("shape", VIEWS, ids=lambda shape: shape.__name__)
def test_the_schema_of_a_view_names_every_field_that_rendering_makes(shape: type) -> None:
    schema = schema_of(shape)
    assert schema["required"] == list(schema["properties"])
    hints = get_type_hints(shape)
    for field in dataclasses.fields(shape):
        is_gpu_time = field.name in GPU_TIME_FIELDS and hints[field.name] is int
        stem = field.name.removesuffix("_ms")
        assert (f"{stem}_ms" if is_gpu_time else field.name) in schema["properties"]


def test_a_value_without_a_rule_is_refused_and_not_guessed_at() -> None:
    unknown: Any = object()
    with pytest.raises(TypeError, match="no rule renders a object"):
        render(unknown)
