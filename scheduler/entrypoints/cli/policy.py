"""`allot policy`: check, compare and explain policy files offline.

Exit codes: 0 done, 1 a file is not a policy, 2 wrong usage (a file that is not there, say).
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from scheduler.adapters.policy_files import (
    Problem,
    check_policy,
    people_reference,
    policy_reference,
    read_bytes,
)
from scheduler.domain.policy import Policy
from scheduler.domain.policy_changes import PolicyChange, diff_policies
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli import policy_online
from scheduler.entrypoints.cli.file_kinds import told_as_another
from scheduler.entrypoints.cli.output import Column, print_table

app = typer.Typer(help="Check, compare and apply policy files.", no_args_is_help=True, add_completion=False)
policy_online.mount(app)

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def check(file: _File, as_json: _AsJson = False) -> None:
    """Say whether FILE is a policy, and if not, everything that is wrong with it."""
    policy, problems = check_policy(read_bytes(file), file.name)
    if as_json:
        typer.echo(json.dumps({"file": str(file), **_checked(policy, problems)}))
    elif policy is None:
        _print_problems(file, problems)
    else:
        typer.echo(f"{file}: a policy ({_summary(policy)})")
    if policy is None:
        raise typer.Exit(1)


@app.command()
def diff(old: _File, new: _File, as_json: _AsJson = False) -> None:
    """Say what differs in meaning between the policies OLD and NEW, and whom it concerns."""
    before, problems_before = check_policy(read_bytes(old), old.name)
    after, problems_after = check_policy(read_bytes(new), new.name)
    if before is None or after is None:
        if as_json:
            sides = ((old, before, problems_before), (new, after, problems_after))
            typer.echo(json.dumps({str(file): _checked(policy, problems) for file, policy, problems in sides}))
        else:
            _print_problems(old, problems_before)
            _print_problems(new, problems_after)
        raise typer.Exit(1)
    changes = diff_policies(before, after)
    if as_json:
        typer.echo(json.dumps({"old": before.hash, "new": after.hash, "changes": [_as_object(c) for c in changes]}))
    elif changes:
        _print_table(changes)
        typer.echo(f"{counted(len(changes), 'change')}. Running attempts keep the terms they were launched under.")
    else:
        typer.echo("The two policies mean the same.")


@app.command()
def keys(
    people: Annotated[bool, typer.Option("--people", help="Those of a people directory.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Print every key of a policy file: its unit, default and meaning, as Markdown."""
    reference = people_reference() if people else policy_reference()
    typer.echo(json.dumps({"markdown": reference}) if as_json else reference)


def _print_problems(file: Path, problems: tuple[Problem, ...]) -> None:
    other = told_as_another(file, "a policy") if problems else ""
    if other:
        typer.echo(other, err=True)
        return
    for problem in problems:
        typer.echo(f"{file}:{problem}", err=True)
    if problems:
        typer.echo(
            f"{file}: not a policy, {counted(len(problems), 'problem')}; docs/policies.md has every key", err=True
        )


def _checked(policy: Policy | None, problems: tuple[Problem, ...]) -> dict[str, object]:
    return {
        "ok": policy is not None,
        "hash": None if policy is None else policy.hash,
        "problems": [
            {"line": problem.mark.line, "column": problem.mark.column, "message": problem.message}
            for problem in problems
        ],
    }


def _summary(policy: Policy) -> str:
    counts = (
        (len(policy.gpu_classes), "GPU classes"),
        (len(policy.priority_classes), "priority classes"),
        (len(policy.tiers), "tiers"),
        (len(policy.pools), "pools"),
        (len(policy.projects), "projects"),
    )
    return ", ".join(f"{what}: {count}" for count, what in counts) + f"; sha256 {policy.hash[:12]}"


def _as_object(change: PolicyChange) -> dict[str, object]:
    return {"path": change.path, "before": change.before, "after": change.after, "affects": change.affects}


def _print_table(changes: tuple[PolicyChange, ...]) -> None:
    rows = ((each.path, _shown(each.before), _shown(each.after)) for each in changes)
    columns = (Column("KEY"), Column("BEFORE", width_max=24), Column("AFTER", width_max=40))
    print_table(columns, rows, [each.affects for each in changes])


def _shown(value: int | bool | str | None) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
