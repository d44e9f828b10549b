"""Which of an admin's files one is, where another was asked for: its problems as what it is not would say nothing."""

from pathlib import Path

from scheduler.adapters.policy_files import check_people, check_policy, check_prices, read_bytes
from scheduler.domain.units import EngineerId


def told_as_another(file: Path, wanted: str) -> str:
    """One line for a file that is one of the others, and how that is used; nothing of one that is none of them."""
    content = read_bytes(file)
    kinds = {
        "a policy": (check_policy(content, file.name)[1], "allot policy check"),
        "a price book": (check_prices(content, file.name)[1], "allot prices check"),
        "a people directory": (check_people(content, EngineerId)[1], "allot people apply"),
    }
    return next(
        (
            f"{file}: {kind}, and not {wanted}; it is for `{command}`"
            for kind, (problems, command) in kinds.items()
            if not problems
        ),
        "",
    )
