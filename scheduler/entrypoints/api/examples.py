"""An example of every answer in the description of the API: made from the answer's own schema, so that it cannot differ."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain.hours import hours_text
from scheduler.domain.money import decimal_text
from scheduler.domain.units import MS_PER_HOUR, Instant

JSON = "application/json"
_MOMENT = "2026-11-20T12:00:00Z"
_DEPTH_MAX = 12

_TEXTS: Mapping[str, str] = {
    "id": "w-7k2m9qx4abcd",
    "workload_id": "w-7k2m9qx4abcd",
    "attempt_id": "a-7k2m9qx4abcd",
    "allowance": "tier/e-1/2026-11",
    "allowance_id": "tier/e-1/2026-11",
    "transaction_id": "t-7k2m9qx4abcd",
    "engineer": "e-5n3p8rt2wxyz",
    "owner": "e-5n3p8rt2wxyz",
    "holder": "e-5n3p8rt2wxyz",
    "subject": "ada@example.com",
    "owner_name": "Ada Moreau",
    "holder_name": "Ada Moreau",
    "name": "train",
    "workload_name": "train",
    "job_name": "w-7k2m9qx4abcd",
    "team": "research",
    "pool": "research",
    "project": "atlas",
    "tier": "staff",
    "priority_class": "standard",
    "gpu_class": "H100",
    "gpu_classes": "H100",
    "node": "h100-3",
    "nodes": "h100-3",
    "gpu_uuid": "GPU-5a1c9f0e-0000-4c1d-9e77-5a6b7c8d9e0f",
    "pod_uid": "0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f",
    "namespace": "allot",
    "image": "registry.example.com/train:1",
    "address": "http://w-7k2m9qx4abcd.allot.svc:8888",
    "kind": "job",
    "state": "running",
    "reason": "Running",
    "role": "engineer",
    "holder_kind": "engineer",
    "sentence": "Running on h100-3.",
    "period": "2026-11",
    "period_name": "2026-11",
    "currency": "EUR",
    "unit": "standard",
    "time_zone": "Europe/Berlin",
    "hash": "9f2c4e6a8b0d1f3e5a7c9b2d4f6e8a0c1b3d5f7e9a2c4b6d8f0e1a3c5b7d9f2e",
    "version": "0.1.0",
    "text": "version: 1",
    "why": "the deadline of the paper",
    "request_id": "r-3f9c5a7b1d2e",
    "token": "allot_9Xq2T7",
    "key": "k-7k2m9qx4abcd",
    "next_cursor": "MjAyNi0xMS0yMFQxMjowMDowMFo",
    "next_step": "Nothing: it runs.",
}
"""What a text says, by its field; another is called as its field is."""

_NUMBERS: Mapping[str, int] = {
    "gpus": 8,
    "gpus_per_pod": 8,
    "pods": 2,
    "pods_now": 2,
    "min_pods": 1,
    "port": 8888,
    "weight": 1000,
    "class_factor": 1000,
    "status": 200,
    "quantity": MS_PER_HOUR,
}


def with_examples(description: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description, with an example in every answer of JSON that has none."""
    for methods in description["paths"].values():
        for operation in methods.values():
            for answer in operation.get("responses", {}).values():
                media = answer.get("content", {}).get(JSON)
                if media is not None and not {"example", "examples"} & set(media):
                    media["example"] = example_of(media["schema"])
    return description


def example_of(schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value of that schema as the field `name` might have it. What nests without end is cut."""
    if depth > _DEPTH_MAX:
        return None
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return example_of(options[0], name, depth)
    match schema.get("type"):
        case "object":
            return _object(schema, name, depth + 1)
        case "array":
            return _array(schema, name, depth + 1)
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return _number(name)
        case "boolean":
            return name != "is_frozen"
    return None


def _object(schema: Mapping[str, Any], name: str, depth: int) -> dict[str, Any]:
    made = {each: example_of(inner, each, depth) for each, inner in schema.get("properties", {}).items()}
    for each, value in made.items():  # the two forms of one amount say the same
        if each.endswith("_hours") and isinstance(made.get(f"{each.removesuffix('_hours')}_ms"), int):
            made[each] = hours_text(made[f"{each.removesuffix('_hours')}_ms"])
        elif isinstance(value, str) and isinstance(made.get(f"{each}_micro"), int):
            made[each] = decimal_text(made[f"{each}_micro"], least=2)
    if isinstance(schema.get("additionalProperties"), Mapping):
        made["H100"] = example_of(schema["additionalProperties"], name, depth)
    return made


def _array(schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [example_of(each, name, depth) for each in schema["prefixItems"]]
    return [example_of(schema.get("items", {}), name, depth)]


def _text(schema: Mapping[str, Any], name: str) -> str:
    if schema.get("format") == "date-time":
        return _MOMENT
    if "enum" in schema:
        return str(
            next((word for word in ("running", "job", "project") if word in schema["enum"]), schema["enum"][0])
        )
    if "pattern" in schema:
        return hours_text(Instant(MS_PER_HOUR))
    return _TEXTS.get(name, name)


def _number(name: str) -> int:
    if name.endswith("_micro"):
        return 2_500_000
    if name.endswith(("per_mille", "permille")):
        return 950
    return _NUMBERS.get(name, MS_PER_HOUR if name.endswith("_ms") else 1)
