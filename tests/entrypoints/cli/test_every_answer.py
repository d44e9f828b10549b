"""Commands as people type them and as programs do: `--json` prints one JSON object and nothing else, and what comes from
a simulated cluster says so."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from scheduler.entrypoints.running import Service
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import POLICY, SilentCluster

POLICIES = Path(__file__).parents[3] / "policies"
TERMS = "-p atlas --gpu-class H100 --time 1h --image registry.example.com/train:1"

STEPS: tuple[tuple[str, str, str], ...] = (
    ("ada", "whoami", ""),
    ("ada", "quote -p atlas --gpu-class H100 --time 1h", ""),
    ("ada", f"submit {TERMS}", "job"),
    ("ada", "list", ""),
    ("ada", "queue", ""),
    ("ada", "show {job}", ""),
    ("ada", "explain {job}", ""),
    ("ada", "extend {job} 1h", ""),
    ("ada", "cancel {job}", ""),
    ("ada", "sandbox start -p atlas --gpu-class H100 --time 1h --no-wait", "sandbox"),
    ("ada", "sandbox extend {sandbox} 1h", ""),
    ("ada", "book -p atlas --class H100 --gpus 8 --from 2026-11-21T09:00:00Z --for 1h", "booking"),
    ("ada", "booking list", ""),
    ("ada", "booking show {booking}", ""),
    ("ada", "booking cancel {booking}", ""),
    ("ada", "balance", ""),
    ("ada", "burn", ""),
    ("ada", "statement", ""),
    ("pam", "statement offer 100h", ""),
    ("fin", "grant ada 1h --reason x", "grant"),
    ("pam", "grant compensation ada 12h --reason x", "package"),
    ("pam", "vesting list", ""),
    ("pam", "vesting show {package}", ""),
    ("fin", "allowance freeze {grant} --reason x", ""),
    ("fin", "allowance unfreeze {grant} --reason x", ""),
    ("pam", "vesting claw-back ada --reason x", ""),
    ("ada", "request hours 5h --reason x", "asked"),
    ("ada", "request list", ""),
    ("ada", "request show {asked}", ""),
    ("fin", "approvals list", ""),
    ("fin", "approvals show {asked}", ""),
    ("ada", "request withdraw {asked}", ""),
    ("ada", "request hours 6h --reason x", "second"),
    ("fin", "request approve {second}", ""),
    ("ada", "request hours 7h --reason x", "third"),
    ("fin", "request reject {third} --reason x", ""),
    ("ada", "request hours 8h --reason x", "fourth"),
    ("fin", "approvals approve {fourth}", ""),
    ("ada", "request hours 9h --reason x", "fifth"),
    ("fin", "approvals reject {fifth} --reason x", ""),
    ("fin", "coverage", ""),
    ("fin", f"prices check {POLICIES}/prices.yaml", ""),
    ("fin", f"prices apply {POLICIES}/prices.yaml", ""),
    ("fin", "prices show", ""),
    ("fin", "prices hour --gpu-class H100 --pool research", ""),
    ("fin", "cost", ""),
    ("fin", "statement fringe --year 2026", ""),
    ("fin", "prices list", ""),
    ("fin", "prices keys", ""),
    ("fin", "fairness", ""),
    ("ada", "efficiency", ""),
    ("ada", "leaderboard join", ""),
    ("ada", "leaderboard show", ""),
    ("ada", "leaderboard leave", ""),
    ("ada", "nodes", ""),
    ("ada", "top --once", ""),
    ("olga", "gpu agents", ""),
    ("olga", "gpu refused", ""),
    ("olga", "gpu reclaims", ""),
    ("olga", "gpu misuse", ""),
    ("olga", "gpu faults", ""),
    ("olga", "gpu conservation", ""),
    ("olga", "pause launch --why x", ""),
    ("olga", "resume launch", ""),
    ("ada", "policy show", ""),
    ("ada", "policy list", ""),
    ("ada", f"policy check {POLICY}", ""),
    ("ada", f"policy diff {POLICY} {POLICY}", ""),
    ("ada", "policy keys", ""),
    ("olga", f"policy apply {POLICY}", ""),
    ("olga", "people list", ""),
    ("fin", "period close 2026-10", ""),
    ("fin", "period show 2026-10", ""),
    ("fin", "period list", ""),
    ("fin", "reconcile --period 2026-10", ""),
    ("fin", "export gl --period 2026-10", ""),
    ("aud", "audit rebuild", ""),
    ("aud", "audit log", ""),
    ("aud", "audit access", ""),
    ("olga", "token issue bob --role engineer", "token"),
    ("olga", "token list", ""),
    ("olga", "doctor --no-kubernetes", ""),
)
"""Who types what; and under which name the id of what comes of it is remembered for the steps after it."""

LABEL = "Simulated cluster and clock.\n"
OF_FILES = ("policy check", "policy diff", "policy keys", "prices check", "prices show", "prices keys", "doctor")
"""They read files of this machine, or look at it; nothing that they print was simulated."""

ZONELESS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?! UTC)(?!:\d\d UTC)(?! (?:to|–) \d{4}-\d\d-\d\d \d\d:\d\d UTC)")
OPAQUE = re.compile(r"system:bootstrap|(?<!tier/)\be-[0-9a-z]{12}\b")
"""The id of a tier's allowance has its engineer's in it, and is typed as it is."""


def test_every_command_prints_one_json_object_for_programs_and_labels_what_is_simulated(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SilentCluster, "is_simulated", True)
    known: dict[str, str] = defaultdict(lambda: "unknown")
    wrong: list[str] = []
    for who, line, name in STEPS:
        words = line.format_map(known).split()
        ran = allot(*words, "--json", who=who)
        found = _object(ran.out)
        if found is None or ran.err or ran.code:
            wrong.append(f"{line}: {ran.code} {ran.out[:200]!r} {ran.err[:200]!r}")
            continue
        if name:
            known[name] = str(found.get("id") or found.get("allowance_id", sorted(found)))
        if _is_read(line) and not line.startswith(OF_FILES):
            shown = allot(*words, who=who)
            if not shown.err.endswith(LABEL) or not shown.out:
                wrong.append(f"{line}: no label: {shown.err!r}")
            wrong += [f"{line}: {found!r} in {shown.out}" for found in _unreadable(shown.out)]
    assert not wrong, "\n".join(wrong)


def _unreadable(text: str) -> list[str]:
    """Instants that nothing says the time zone of, and ids where people have names."""
    zoneless = [] if "(UTC)" in text else ZONELESS.findall(text)
    return [*zoneless, *OPAQUE.findall(text)]


def _is_read(line: str) -> bool:
    verbs = (
        "list",
        "show",
        "explain",
        "balance",
        "burn",
        "statement",
        "queue",
        "nodes",
        "top",
        "gpu",
        "quote",
        "fairness",
        "log",
        "access",
    )
    return any(verb in line.split()[:2] for verb in verbs)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
