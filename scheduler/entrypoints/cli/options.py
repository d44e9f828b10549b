"""Options by the names under which they are typed, where the API speaks of the fields that they become."""

from typing import Any

from typer._click.globals import get_current_context

_PARAMETER_OF: dict[str, str] = {
    "gpus_per_pod": "gpus",
    "cpu_milli": "cpu",
    "memory_mib": "memory",
    "gpu_classes": "gpu_class",
    "time_limit_ms": "time",
    "time_limit": "time",
    "extra_ms": "by",
    "extra": "by",
    "length_ms": "how_long",
    "runtime_max_ms": "max_runtime",
    "grace_seconds": "grace",
    "begin_at": "begin",
    "expires_at": "expires",
    "attested_use": "attest",
    "uses_compensation": "use_compensation",
    "quantity": "amount",
    "amount_ms": "amount",
    "paid_at": "on",
    "paid_on": "on",
    "Idempotency-Key": "key",
}
"""What a field is called as a parameter of the commands, where it is not called the same."""

_OF_SEVERAL = {"gpus": "pods"}
"""What several options come to is none of them alone: a field, and the parameter beside its own that makes it so."""


def typed_as(field: str) -> str:
    """The option or the argument of the command at work that a field of its request came from; else the field's name."""
    context = get_current_context(silent=True)
    parameters: dict[str, Any] = {each.name: each for each in context.command.params} if context is not None else {}
    of = field.partition(".")[0].partition("[")[0]
    found = parameters.get(_PARAMETER_OF.get(of, of))
    return field if found is None or _OF_SEVERAL.get(of) in parameters else shown_name(found)


def shown_name(parameter: Any) -> str:
    """An option by its long name, or the argument."""
    return next((name for name in parameter.opts if name.startswith("--")), str(parameter.name or "").upper())
