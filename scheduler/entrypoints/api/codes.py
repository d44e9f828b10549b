"""Every refusal code: its HTTP status, its title, what it means and what to do. The only such table.

Answers take status and title from here, `/v1/problems/{code}` serves an entry, and docs/errors.md is written from it
by `python -m scheduler.entrypoints.api.codes`.
"""

import sys

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.approval_codes import APPROVAL_CODES
from scheduler.entrypoints.api.audit_codes import AUDIT_CODES
from scheduler.entrypoints.api.code_text import CodeText
from scheduler.entrypoints.api.money_codes import MONEY_CODES
from scheduler.entrypoints.api.service_codes import SERVICE_CODES

_C = RefusalCode

CODES: dict[RefusalCode, CodeText] = {
    _C.INVALID_VALUE: CodeText(
        422,
        "A value is not as it should be",
        "A field is missing, has the wrong type, is out of bounds, or is not known.",
        "Mend what is named, as it was expected, and send it again.",
    ),
    _C.INVALID_GPUS: CodeText(
        422,
        "Not a number of GPUs",
        "Pods and GPUs per pod are whole numbers from 1 up; fractions, zero, negative and huge numbers are refused.",
        "Ask for a whole number of GPUs within the policy's limit.",
    ),
    _C.INVALID_MIN_PODS: CodeText(
        422,
        "Not a minimum of pods",
        "The fewest pods that an elastic job runs with are a whole number from 1 to its pods; only a job has them.",
        "Ask for fewer than `--pods`, or leave `--min-pods` out: then all its pods start together.",
    ),
    _C.INVALID_TIME_LIMIT: CodeText(
        422,
        "Not a time limit",
        "A time limit or an extension is a whole number of milliseconds, at least a second (in the CLI: `30m`, `8h`).",
        "Give a duration such as `8h`.",
    ),
    _C.INVALID_AMOUNT: CodeText(
        422,
        "Not an amount of hours",
        "An amount is a whole number of standard GPU-milliseconds above zero (in the CLI: hours, as `40h`).",
        "Give an amount above zero and below 2⁶².",
    ),
    _C.INVALID_POLICY: CodeText(
        422,
        "The policy file is not valid",
        "The file is no YAML, or has an unknown key, a duplicate, a cycle, or a value out of bounds; each with its line.",
        "Mend the file, and try it with `allot policy check FILE` before applying it.",
    ),
    _C.INVALID_DIRECTORY: CodeText(
        422,
        "The people file is not valid",
        "The file of engineers, teams, tiers and roles has a problem; each is reported with its line and column.",
        "Mend the file and apply it again.",
    ),
    _C.INVALID_SAMPLE: CodeText(
        422,
        "A window of samples is not valid",
        "A window is from the future, overlaps another, goes back without a new boot id, or names a foreign GPU or node.",
        "Check the clock of the node and the agent's version; what was refused is counted and kept out of the books.",
    ),
    _C.INVALID_TRACE: CodeText(
        422,
        "A trace cannot be read",
        "A file of nodes or of workloads for the simulator has a cell that is none; file, line and column are named.",
        "Mend the cell that is named, as it was expected.",
    ),
    _C.INVALID_CURSOR: CodeText(
        422,
        "Not a cursor of ours",
        "A page was asked for with a cursor that no answer of ours contained.",
        "Begin without a cursor, and pass on `next_cursor` as it is.",
    ),
    _C.UNKNOWN_GPU_CLASS: CodeText(
        422,
        "There is no such GPU class",
        "The policy in force has no GPU class of that name.",
        "Choose one that `allot policy show` or `allot nodes` lists.",
    ),
    _C.UNKNOWN_PRIORITY_CLASS: CodeText(
        422,
        "There is no such priority class",
        "The policy in force has no priority class of that name, or none was named and the policy has no default.",
        "Choose one of the policy's priority classes.",
    ),
    _C.UNKNOWN_PROJECT: CodeText(
        422,
        "There is no such project",
        "Every workload names a project of the policy, or `personal`.",
        "Name a project, or submit it as `personal`.",
    ),
    _C.UNKNOWN_TEAM: CodeText(
        422,
        "There is no such team",
        "The team is in no pool of the policy in force.",
        "Ask an operator to give the team a pool.",
    ),
    _C.UNKNOWN_TIER: CodeText(
        422,
        "There is no such tier",
        "The engineer's tier is not in the policy in force.",
        "Ask an operator to correct the tier.",
    ),
    _C.UNKNOWN_ENGINEER: CodeText(
        404,
        "There is no such engineer",
        "No engineer has that id or subject.",
        "Check the spelling; operators add people with `allot people apply FILE`.",
    ),
    _C.UNKNOWN_WORKLOAD: CodeText(
        404,
        "There is no such workload",
        "No workload has that id.",
        "`allot list` shows yours.",
    ),
    _C.UNKNOWN_NODE: CodeText(
        404,
        "There is no such node",
        "The cluster has no node of that name, or its agent has not registered.",
        "`allot nodes` lists them.",
    ),
    _C.UNKNOWN_POLICY: CodeText(
        404,
        "There is no such policy",
        "No policy with that hash was ever applied.",
        "`allot policy list` shows those that were.",
    ),
    _C.UNKNOWN_IMAGE: CodeText(
        422,
        "The image is not on the list",
        "The policy names the images that may run; this one is not among them.",
        "Choose a listed image, or ask an operator to add it.",
    ),
    _C.TIME_LIMIT_TOO_LONG: CodeText(
        422,
        "The time limit is too long",
        "The time limit is longer than the tier or the policy allows.",
        "Ask for less, write checkpoints, and extend it while it runs.",
    ),
    _C.PRIORITY_CLASS_NOT_ALLOWED: CodeText(
        403,
        "Your tier, or this kind of work, may not use this priority class",
        "The policy says which priority classes each tier may use, and of what kinds of work each may be.",
        "Choose one that your tier may use for this kind of work.",
    ),
    _C.GPU_CLASS_NOT_ALLOWED: CodeText(
        403,
        "Your tier may not use this GPU class",
        "The policy says which GPU classes each tier may use.",
        "Choose one that your tier may use.",
    ),
    _C.UNKNOWN_TOPOLOGY_LEVEL: CodeText(
        422,
        "There is no such topology level",
        "The policy in force names no topology level so; every cluster has the level `node`.",
        "Ask for one of the levels that the answer names.",
    ),
    _C.UNPLACEABLE: CodeText(
        422,
        "More than the nodes could ever hold",
        "Even an empty cluster could not place these pods.",
        "Ask for fewer pods, for fewer GPUs, CPUs or less memory per pod, or another GPU class.",
    ),
    _C.ALLOWANCE_SHORT: CodeText(
        409,
        "The allowance does not cover it",
        "No allowance that may pay for this has enough hours left.",
        "See `allot balance`; ask for less, wait for the next grant, or ask for more hours.",
    ),
    _C.ALLOWANCE_EXPIRED: CodeText(
        409,
        "The allowance has expired",
        "The allowances that would have paid for this have expired.",
        "See `allot balance`, and ask for a grant.",
    ),
    _C.ALLOWANCE_FOREIGN: CodeText(
        403,
        "Those hours are not yours to spend",
        "A project's hours pay for work of its own team alone.",
        "Name a project of your team, or submit it as personal.",
    ),
    _C.GPU_LIMIT: CodeText(
        409,
        "More GPUs than allowed at once",
        "The request alone exceeds how many GPUs you may run at once.",
        "Ask for fewer GPUs.",
    ),
    _C.NO_POLICY: CodeText(
        503,
        "No policy is in force",
        "Nothing can be judged before a policy has been applied.",
        "An operator applies one with `allot policy apply FILE`.",
    ),
    _C.WRONG_STATE: CodeText(
        409,
        "Not possible in its present state",
        "What was asked does not follow from the state that the workload is in.",
        "`allot show` says which state that is.",
    ),
    _C.BOOKING_CONFLICT: CodeText(
        409,
        "The GPUs are booked, or what runs on them may run into the window",
        "A booking is taken only where its GPUs are free by time limits, and nothing is extended into one.",
        "Book fewer GPUs, another class or another time; extend by less.",
    ),
    _C.BOOKING_OVER_QUOTA: CodeText(
        409,
        "More than the pool's own GPUs would be booked",
        "Bookings of a pool keep within its nominal quota: what it borrows can be taken back at any time.",
        "Book fewer GPUs or another time, or ask an operator for a larger quota.",
    ),
    _C.INVALID_WINDOW: CodeText(
        422,
        "No window that can be booked",
        "It starts in the past, further ahead than the policy lets bookings start, or has no length.",
        "Name a start from now on, within the policy's `bookings.horizon_days`.",
    ),
    _C.UNKNOWN_BOOKING: CodeText(
        404, "No such booking", "There is none of that id that you may see.", "`allot booking list` shows them."
    ),
    _C.RESERVED_AHEAD: CodeText(
        409,
        "Somebody has these GPUs kept free",
        "Whoever waits first for a GPU class has its start reckoned from the ends of what runs; extending delays it.",
        "Save the work and submit it again.",
    ),
    _C.SPEND_GUARD: CodeText(
        409, "Beyond a spend guard", "Extended, it would use more than a start may.", "Extend it by less, or later."
    ),
    _C.IDEMPOTENCY_CONFLICT: CodeText(
        409,
        "The idempotency key was used for something else",
        "The same key came before with another body; the first answer stands.",
        "Use a new key for a new request.",
    ),
    _C.CONFIRMATION_NEEDED: CodeText(
        409,
        "It would empty what pays for it over a weekend",
        "Unless confirmed, what runs into a weekend, with what its owner has waiting, confirmed or not, may use no more "
        "than a share of what is left by its end: each to start as soon as it may, and to use its time limit.",
        "If it is meant, submit it again with --yes (`confirmed`); write `allot.dev/confirmed=true` on a Job of kubectl.",
    ),
    _C.STALE: CodeText(
        409,
        "It changed meanwhile",
        "Somebody else changed it between reading and writing; nothing was lost.",
        "Look at it again, and repeat the request if you still want it.",
    ),
    _C.UNAUTHENTICATED: CodeText(
        401,
        "Not signed in",
        "No token came with the request, or one that is unknown, expired or revoked.",
        "Sign in with `allot login`, or send `Authorization: Bearer TOKEN`.",
    ),
    _C.ROLE_REQUIRED: CodeText(
        403,
        "A role is missing",
        "This needs a role that the token does not have.",
        "Ask an operator for the role, or somebody who has it to do this.",
    ),
    _C.NOT_YOURS: CodeText(
        403,
        "That belongs to somebody else",
        "Engineers see and change their own work and balance, and nobody else's.",
        "Ask its owner, or your lead for the team's sums.",
    ),
    _C.QUEUE_FULL: CodeText(
        429,
        "Too many workloads are waiting",
        "You have as many queued workloads as the policy allows.",
        "Wait until some have run, or cancel those that you no longer need.",
    ),
    **SERVICE_CODES,
    **MONEY_CODES,
    **APPROVAL_CODES,
    **AUDIT_CODES,
}


def reference() -> str:
    """docs/errors.md, one section for each code."""
    lines = [
        "# Errors",
        "",
        "Every refusal has a code, which keeps its meaning once it was released. The API answers with",
        "`application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `where`, `expected`,",
        "`remedy`, `request_id`. The command line prints the same as one message and ends with an",
        "[exit code](cli.md#exit-codes). This page is written from the code's own table",
        "(`python -m scheduler.entrypoints.api.codes`).",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
        *(f"| [`{code.value}`](#{code.value}) | {text.status} | {text.title} |" for code, text in CODES.items()),
    ]
    for code, text in CODES.items():
        lines += ["", f"## {code.value}", "", f"{text.meaning}", "", f"**What to do:** {text.remedy}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
