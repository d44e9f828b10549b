"""What is told of one refusal code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeText:
    """`status` is the HTTP status. A remedy here is the general one; a refusal may carry a better one of its own."""

    status: int
    title: str
    meaning: str
    remedy: str
