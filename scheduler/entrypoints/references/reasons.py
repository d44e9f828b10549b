"""docs/reasons.md, from the list of reasons: `python -m scheduler.entrypoints.references.reasons > docs/reasons.md`."""

import sys
from collections.abc import Iterator
from string import Formatter

from scheduler.domain.reasons import PAY_DATA, TEXTS, Reason
from scheduler.domain.wording import filled

_OPENING = """\
# Reasons

Why a workload waits, runs or ended: one code from one list, the same in the API, in `allot explain`, on the pages, in
the Events of its Job, in logs and as the label `reason` of the metrics. This page is written from that list
(`python -m scheduler.entrypoints.references.reasons`).

A verdict is a code with its *evidence*: names and numbers by key. The sentence is the code's template filled from the
evidence; a dash stands for what is not known. What is marked as pay data is for the owner, finance, people operations
and auditors; everybody else, and whoever reads the Events of the Job, is told the sentence for others. A verdict is kept
when its code changes, with the evidence of that moment; while it holds, its numbers are told as they are now.
"""

EVIDENCE = {
    "action": "what will be done: `suspended` or `ended`",
    "after": "ids of workloads",
    "after_name": "the name of that one",
    "ahead": "the id of the workload that is first among those that wait for the same GPUs",
    "at": "an instant, RFC 3339 in UTC",
    "available_hours": "standard GPU-hours that the allowances which may pay have together",
    "booking": "the booking's id",
    "by": "who did it: the subject of a person or a program; of a deadline, when it is",
    "came_back": "how much standard GPU time was held and not used, in hours and minutes; or that nothing was",
    "cause": "what went wrong, in the words of whoever refused or failed",
    "changed": "what its labels or annotations ask otherwise since, such as `its priority class and its project`",
    "comparison": "what decided between the two, such as `standard over off-peak`",
    "domain": "the domain with most room, from the widest level down, such as `block-1/rack-3`",
    "exit_code": "the first exit code that is not 0; 0 where none is known",
    "fault": "what the Xid means, in a few words",
    "from": "an instant, RFC 3339 in UTC",
    "fitting": "pods that fit there",
    "free_percent": "share of the class that is free, where that lets it start",
    "free": "GPUs of the class that are free on nodes where it could go",
    "given": "pods that it gave back",
    "gpu_class": "the GPU class, by its name in the policy",
    "cores": "cores in use on one node, as a mean, cut to one decimal",
    "gpu": "a GPU's UUID",
    "gpus": "GPUs",
    "gpus_per_pod": "GPUs that each pod asks for",
    "guard": "the spend guard, by its name in the policy",
    "held_hours": "standard GPU-hours that are held",
    "largest": "GPUs of the largest node of the class",
    "left": "minutes until it is due, if nothing changes",
    "level": "the topology level, by its name in the policy; `node` is always one",
    "lost": "the nodes that were lost or cordoned, are too small by now, take work again, or are still in use",
    "limit": "what the policy allows: GPUs, workloads, or the time limit",
    "given_hours": "GPU-hours of minimum runtime that the owner's attempts of the day have been given",
    "limit_hours": "hours that the policy allows: standard ones per window of a guard, or of minimum runtime per day",
    "minutes": "minutes",
    "more": "pods that it took",
    "needed": "GPUs that it needs",
    "needed_hours": "standard GPU-hours that it needs, to one decimal",
    "node": "a node's name",
    "nodes": "names of nodes",
    "of": "whose use the guard counts: `engineer` or `team`",
    "pid": "the number of a process on its node",
    "pods": "pods, all started together; of an elastic job, those that it has",
    "pods_max": "pods that an elastic job would like",
    "pool": "the pool, by its name in the policy",
    "process": "the process's name, as the kernel cuts it",
    "preemptor": "the name of the workload that took its GPUs",
    "preemptor_class": "that one's priority class",
    "preemptor_id": "that one's id",
    "priority_class": "its priority class",
    "refund_cap_minutes": "most lost work that is refunded, per GPU",
    "refunded": "what of the work since its last checkpoint came back, or that nothing did",
    "rule": "the rule that applied: of idleness the policy's, by its name; of preemption `unfunded`, `withinPool`, "
    "`reclaimWithinCohort`, `borrowWithinCohort` or `consolidation`",
    "seconds": "seconds until the next try",
    "short_hours": "needed less available, rounded up to one decimal",
    "stopped": "GPUs that were stopped in the last ten minutes",
    "then": "what becomes of it",
    "until": "an instant, RFC 3339 in UTC",
    "used": "GPUs in use",
    "used_hours": "standard GPU-hours of the window that are used, or will be by what runs",
    "victims": "attempts",
    "extensions_left": "how often `allot extend` still sets the idle clock back",
    "warning": "which of the two warnings it is",
    "which": "of which window it needs them: `this` one, `the next`, or `a later` one that is longer",
    "window": "`hour`, `day` or `weekend`",
    "xid": "the number of the driver's error report",
    "when": "the hours at which it may start, and the share that must be free at others, with the one that is",
    "why": "what the operator wrote when pausing",
}
"""What each key of evidence means."""

BESIDE_THE_SENTENCE = {
    Reason.ALLOWANCE_SHORT: ("short_hours",),
    Reason.DEPENDENCY_NEVER: ("after_name",),
    Reason.FAILED: ("exit_code",),
    Reason.OFF_PEAK: ("gpu_class", "free_percent"),
    Reason.IDLE: ("rule",),
    Reason.IDLE_ENDED: ("rule",),
    Reason.IDLE_WARNING: ("warning", "rule"),
    Reason.PREEMPTED: ("preemptor_id", "preemptor_class", "rule", "gpus", "gpu_class", "refund_cap_minutes"),
}
"""Evidence that goes with a code and does not stand in its sentence."""


def reference() -> str:
    """The whole page."""
    return _OPENING + "".join(line for reason in Reason for line in _section(reason))


def keys_of(reason: Reason) -> tuple[str, ...]:
    """Every key of evidence that may come with the code, those of the sentence first."""
    text = TEXTS[reason]
    named = [key for _, key, _, _ in Formatter().parse(text.sentence + text.next_step) if key]
    return tuple(dict.fromkeys([*named, *BESIDE_THE_SENTENCE.get(reason, ())]))


def _section(reason: Reason) -> Iterator[str]:
    text = TEXTS[reason]
    yield f"\n## {reason.value}\n\n{_written(text.sentence)}\n"
    if text.to_others:
        yield f"\n**To others:** {_written(text.to_others)}\n"
    if text.next_step:
        yield f"\n**Next:** {_written(text.next_step)}\n"
    keys = keys_of(reason)
    if keys:
        yield "\n| evidence | |\n|---|---|\n"
        yield from (f"| `{key}` | {EVIDENCE[key]}{'; pay data' * (key in PAY_DATA)} |\n" for key in keys)


def _written(template: str) -> str:
    """The template with its keys set apart."""
    return filled(template, {key: f"*{key}*" for key in EVIDENCE})


if __name__ == "__main__":
    sys.stdout.write(reference())
