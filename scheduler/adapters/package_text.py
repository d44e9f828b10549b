"""A package's terms as the text of a proposal, read again when it is approved."""

from pydantic import TypeAdapter

from scheduler.lifecycle.awarding.compensate import Package

_PACKAGE = TypeAdapter(Package)


def read_package(text: str) -> Package:
    """As `Proposals.compensate` wrote it: the hash that was approved is over this text."""
    return _PACKAGE.validate_json(text)
