"""The one list of reasons: why a workload has its verdict, its state or its end.

The same code stands in the API, Events, logs and metric labels. Where Slurm or Kueue has the word, it is theirs.
The sentence is for people: it is filled from the evidence that goes with the code. What its owner has left or has
used is pay data: who may not see that reads the sentence `to_others`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.wording import filled, with_gaps

Evidence = Mapping[str, int | str]
"""What a verdict rests on: names and numbers, by key. Keys that a sentence uses are documented in docs/reasons.md."""


class Reason(StrEnum):
    SUBMITTED = "Submitted"
    # verdicts of a cycle
    LAUNCHING = "Launching"
    AWAITING_PREEMPTION = "AwaitingPreemption"
    RESOURCES = "Resources"
    PRIORITY = "Priority"
    QUOTA = "Quota"
    ALLOWANCE_SHORT = "AllowanceShort"
    ENGINEER_GPU_LIMIT = "EngineerGpuLimit"
    TEAM_GPU_LIMIT = "TeamGpuLimit"
    SPEND_GUARD = "SpendGuard"
    SPEND_WARNING = "SpendWarning"
    UNSHELTERED = "Unsheltered"
    NO_PRIORITY_CLASS = "NoPriorityClass"
    NOT_OFFERED = "NotOffered"
    UNPLACEABLE = "Unplaceable"
    TOPOLOGY = "Topology"
    TOPOLOGY_UNPLACEABLE = "TopologyUnplaceable"
    BACKOFF = "Backoff"
    BEGIN_TIME = "BeginTime"
    DEPENDENCY = "Dependency"
    DEPENDENCY_NEVER = "DependencyNeverSatisfied"
    DEADLINE = "DeadLine"
    ARRAY_LIMIT = "JobArrayTaskLimit"
    OFF_PEAK = "OffPeak"
    BOOKED = "Booked"
    LAUNCH_PAUSED = "LaunchPaused"
    PREEMPTION_PAUSED = "PreemptionPaused"
    STOP_RATE = "StopRate"
    PREEMPTION_DELAY = "PreemptionDelay"
    # how an attempt goes and ends
    BOOKING_MADE = "BookingMade"
    BOOKING_MOVED = "BookingMoved"
    BOOKING_AT_RISK = "BookingAtRisk"
    BOOKING_MISSED = "BookingMissed"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TIME_LIMIT = "TimeLimit"
    RUNTIME_LIMIT = "RuntimeLimit"
    BOOKING_ENDED = "BookingEnded"
    PREEMPTED = "Preempted"
    SHRUNK = "Shrunk"
    GROWN = "Grown"
    CANCELLED = "Cancelled"
    STOPPED = "Stopped"
    ALLOWANCE_LOW = "AllowanceLow"
    ALLOWANCE_EXHAUSTED = "AllowanceExhausted"
    IDLE = "Idle"
    IDLE_ENDED = "IdleEnded"
    IDLE_WARNING = "IdleWarning"
    IDLE_REPORTED = "IdleReported"
    IDLE_CPU_BUSY = "IdleCpuBusy"
    START_TIMEOUT = "StartTimeout"
    NODE_LOST = "NodeLost"
    GPU_FAULT = "GpuFault"
    LAUNCH_REFUSED = "LaunchRefused"
    JOB_DELETED = "JobDeleted"
    SUSPENDED = "Suspended"
    # told beside the verdict
    MISUSE = "Misuse"
    INTRUDED = "Intruded"
    # a Job of kubectl that could not be taken in, or not yet, and one that asks for something else since
    REFUSED = "Refused"
    QUEUE_FULL = "QueueFull"
    RELABELLED = "Relabelled"


@dataclass(frozen=True, slots=True)
class ReasonText:
    """`sentence` and `next_step`, which says what its reader can do, are filled from the evidence as `filled` says.

    `to_others` stands in its place for who may not see pay data, where `sentence` tells any.
    """

    sentence: str
    next_step: str = ""
    to_others: str = ""


PAY_DATA = frozenset({"available_hours", "short_hours", "used_hours", "given_hours"})
"""Keys of evidence that tell what the owner of a workload has left or has used."""


TEXTS: dict[Reason, ReasonText] = {
    Reason.SUBMITTED: ReasonText("Submitted; the next cycle looks at it."),
    Reason.LAUNCHING: ReasonText("Launching {gpus} × {gpu_class} on {nodes}."),
    Reason.AWAITING_PREEMPTION: ReasonText(
        "Waiting for {gpus} × {gpu_class} that {victims:workload is|workloads are} giving up.",
        "It starts as soon as their pods have ended.",
    ),
    Reason.RESOURCES: ReasonText(
        "Waiting: {pods:pod|pods} of {gpus_per_pod} × {gpu_class} asked, {free:GPU|GPUs} free where it could go: "
        "room for {fitting:pod|pods}.",
        "A smaller request or another GPU class may start sooner.",
    ),
    Reason.PRIORITY: ReasonText(
        "Waiting: {ahead} is ahead for the same GPUs ({comparison}).",
        "It starts when those ahead have been served.",
    ),
    Reason.QUOTA: ReasonText(
        "Waiting: pool {pool} uses {used} of the {limit} {gpu_class} it may; this needs {needed} more.",
        "It starts when work of the pool ends, or ask the operator for a larger quota. If it needs more than the whole "
        "pool may have, only a larger quota or fewer GPUs will help.",
    ),
    Reason.ALLOWANCE_SHORT: ReasonText(
        "Waiting: needs {needed_hours} h, {available_hours} h available for it.",
        "Ask for a shorter time limit or fewer GPUs, wait for the next grant, or ask for more hours.",
        "Waiting: needs {needed_hours} h, more than is available for it.",
    ),
    Reason.ENGINEER_GPU_LIMIT: ReasonText(
        "Waiting: its owner runs {used} of the {limit:GPU|GPUs} allowed at once; this needs {needed}.",
        "It starts when other work of theirs ends.",
    ),
    Reason.TEAM_GPU_LIMIT: ReasonText(
        "Waiting: the team runs {used} of the {limit:GPU|GPUs} allowed at once; this needs {needed}.",
        "It starts when work of the team ends.",
    ),
    Reason.SPEND_GUARD: ReasonText(
        "Waiting: needs {needed_hours} h of {which} {window}; {used_hours} of the {limit_hours} h that the guard {guard} "
        "lets the {of} use are used or planned.",
        "It starts in a later {window} or when other work ends early; a shorter time limit may start sooner. If it needs "
        "more than the whole guard allows, only a shorter limit or fewer GPUs will help.",
        "Waiting: needs {needed_hours} h of {which} {window}, more than the guard {guard} leaves of the {limit_hours} h "
        "that it lets the {of} use.",
    ),
    Reason.UNSHELTERED: ReasonText(
        "Starts without a minimum runtime: of the {limit_hours} GPU-hours that its owner's attempts are given per day, "
        "{given_hours} are given, and it would take {needed_hours}.",
        "It may be preempted at once by whoever goes before it; tomorrow's attempts are protected again.",
        "Starts without a minimum runtime: it would take {needed_hours} GPU-hours, more than is left of the {limit_hours} "
        "that its owner's attempts are given per day.",
    ),
    Reason.SPEND_WARNING: ReasonText(
        "Starts, but beyond the soft limit of the guard {guard}: {used_hours} of {limit_hours} h of {which} {window} "
        "were used or planned for the {of} before, and it takes {needed_hours} h more.",
        "Look whether all that runs is still wanted.",
        "Starts, but beyond the soft limit of the guard {guard}: {limit_hours} h of {which} {window} for the {of}.",
    ),
    Reason.NO_PRIORITY_CLASS: ReasonText(
        "It cannot start: the policy has no priority class {priority_class} any more.",
        "Cancel it and submit it again in a class that there is; where policy has this one again, it goes on by itself.",
    ),
    Reason.NOT_OFFERED: ReasonText(
        "It cannot start: no node that it may run on offers {gpu_class} any more, or the policy has no such GPU class.",
        "It goes on by itself where nodes offer such GPUs again; or cancel it and ask for another GPU class.",
    ),
    Reason.UNPLACEABLE: ReasonText(
        "More than the nodes could ever hold: {pods:pod|pods} of {gpus_per_pod} × {gpu_class} asked; were they empty, "
        "there would be room for {fitting:pod|pods}, and the largest has {largest:GPU|GPUs}.",
        "Cancel it and ask for fewer or smaller pods, or another GPU class.",
    ),
    Reason.BOOKED: ReasonText(
        "Waiting: {gpu_class} that it could start on are booked from {at} (booking {booking}), and it may run for {limit}.",
        "With a time limit that ends before then it starts now.",
    ),
    Reason.BOOKING_MOVED: ReasonText(
        "Booked still: {gpus} × {gpu_class} on {nodes} from {from} on, now that {lost} changed.",
        "Nothing is to be done: its hours and its time are the same.",
    ),
    Reason.BOOKING_AT_RISK: ReasonText(
        "Not kept: {gpus} × {gpu_class} on {lost} are lost, and no other place for them is free from {from} on.",
        "They are placed anew as soon as there is room. Giving the booking back costs nothing meanwhile, what it lacks in "
        "its window is not charged, and where it would begin with no GPU at all it is called off at no cost.",
    ),
    Reason.BOOKING_MISSED: ReasonText(
        "Called off: {cause}, so nothing of the time from {from} until {until} could be used. It is not charged.",
        "Book another time; its hours are free again.",
    ),
    Reason.BOOKING_MADE: ReasonText(
        "Booked: {gpus} × {gpu_class} on {nodes} from {from} until {until}; {held_hours} h are held.",
        "It is charged from its start, used or not; `allot booking cancel` gives it back.",
    ),
    Reason.TOPOLOGY: ReasonText(
        "Waiting: {pods:pod|pods} of {gpus_per_pod} × {gpu_class} asked in one {level}; {domain}, which has most "
        "room, holds {fitting} of them.",
        "A wider level, `prefer` in place of `require`, or fewer pods may start sooner.",
    ),
    Reason.TOPOLOGY_UNPLACEABLE: ReasonText(
        "No {level} could ever hold it: {pods:pod|pods} of {gpus_per_pod} × {gpu_class} asked in one; {domain}, the "
        "largest, holds {fitting} of them.",
        "Cancel it and ask for a wider level, for `prefer` in place of `require`, or for fewer pods.",
    ),
    Reason.BACKOFF: ReasonText("Waiting {seconds} s before the next try: {cause}."),
    Reason.BEGIN_TIME: ReasonText("Waiting for its begin time, {at}."),
    Reason.DEPENDENCY: ReasonText(
        "Waiting for {after} to complete.", "It is called off where one of them fails or is cancelled."
    ),
    Reason.DEPENDENCY_NEVER: ReasonText(
        "Called off: {after}, which it was to follow, has not completed.", "Submit it again after what it follows."
    ),
    Reason.DEADLINE: ReasonText(
        "Given up: started now it could not use its time limit before {by}.",
        "Submit it with a later deadline or a shorter time limit.",
    ),
    Reason.ARRAY_LIMIT: ReasonText(
        "Waiting: its array runs {used} of the {limit:index|indexes} that it may at once.",
        "It starts when another index ends.",
    ),
    Reason.OFF_PEAK: ReasonText(
        "Waiting: {priority_class} starts {when}.",
        "Another priority class starts sooner, at its own price.",
    ),
    Reason.LAUNCH_PAUSED: ReasonText("Launching is paused by {by}: {why}.", "Ask the operator when it is resumed."),
    Reason.PREEMPTION_PAUSED: ReasonText(
        "Waiting: it could preempt {victims:workload|workloads}, but preemption is paused by {by}: {why}."
    ),
    Reason.STOP_RATE: ReasonText(
        "Waiting: {gpus:GPU|GPUs} would have to be stopped for it, beside {stopped} of the last ten minutes; the limit is "
        "{limit}.",
        "An operator can allow more with `allot resume preempt`.",
    ),
    Reason.PREEMPTION_DELAY: ReasonText(
        "Waiting for {gpus} × {gpu_class}: before {at} it stops nobody for them.",
        "It starts as soon as enough come free of themselves, or else others may be stopped for it from then on.",
    ),
    Reason.RUNNING: ReasonText("Running on {nodes}."),
    Reason.COMPLETED: ReasonText("Completed."),
    Reason.FAILED: ReasonText("Failed: {cause}.", "See the pod's log; submit it again when mended."),
    Reason.TIME_LIMIT: ReasonText(
        "Stopped at its time limit of {limit}.", "Ask for a longer limit, or `allot extend` in time."
    ),
    Reason.RUNTIME_LIMIT: ReasonText(
        "Given up: its attempts together ran for the {limit} that it may run in all.",
        "Submit it again from its last checkpoint, or ask for a longer runtime.",
    ),
    Reason.BOOKING_ENDED: ReasonText(
        "Stopped: the booking that it ran inside, {booking}, is over, and paid for it until then.",
        "Submit it again from its last checkpoint. What starts late in a booking has less of its time limit: leave room "
        "for that.",
    ),
    Reason.PREEMPTED: ReasonText(
        "Preempted by {preemptor} ({comparison}). Queued again.",
        "Its place in the queue is from its first submission.",
    ),
    Reason.SHRUNK: ReasonText(
        "Running with {pods} of {pods_max} pods: gave back {given} for {preemptor} ({comparison}).",
        "It has them back when GPUs are free and nobody waits for them.",
    ),
    Reason.GROWN: ReasonText("Running with {pods} of {pods_max} pods: {more} more, on GPUs that nobody waits for."),
    Reason.CANCELLED: ReasonText("Cancelled by {by}."),
    Reason.STOPPED: ReasonText("Stopped by {by}.", "`allot sandbox resume` starts it again; its home is kept."),
    Reason.ALLOWANCE_LOW: ReasonText(
        "Running, but the next slice of {needed_hours} cannot be held: in {minutes} min it {then}.",
        "Ask for hours, or have it write a checkpoint.",
    ),
    Reason.ALLOWANCE_EXHAUSTED: ReasonText(
        "Stopped: the allowance could not renew its hold of {needed_hours}.",
        "It goes on when hours are granted.",
    ),
    Reason.IDLE: ReasonText(
        "Suspended: its {gpus:GPU was|GPUs were} idle for {minutes} min; {came_back}.",
        "`allot sandbox resume` starts it again.",
    ),
    Reason.IDLE_ENDED: ReasonText(
        "Ended: its {gpus:GPU was|GPUs were} idle for {minutes} min; {came_back}.",
        "Submit it again when its GPUs are needed.",
    ),
    Reason.IDLE_WARNING: ReasonText(
        "Its {gpus:GPU has|GPUs have} been idle for {minutes} min: it will be {action} in about {left} min.",
        "Use the GPUs, or say why it has to stay with `allot keep`; `allot extend` sets its clock back "
        "{extensions_left:time|times} more.",
    ),
    Reason.IDLE_REPORTED: ReasonText(
        "Running, but its {gpus:GPU has|GPUs have} been idle for {minutes} min.",
        "Cancel it if it is of no more use: its hours are yours.",
    ),
    Reason.IDLE_CPU_BUSY: ReasonText(
        "Running; its {gpus:GPU rests|GPUs rest} while its CPUs work ({cores} cores): the idle clock waits.",
        "Nothing need be done; after {minutes} min of waiting the clock goes on.",
    ),
    Reason.START_TIMEOUT: ReasonText(
        "Stopped: it had not started {minutes} min after launch ({cause}).",
        "Check the image and the spec.",
    ),
    Reason.NODE_LOST: ReasonText("Lost on {nodes}: {cause}. The hours since its last checkpoint came back; {then}."),
    Reason.GPU_FAULT: ReasonText(
        "Failed with its GPU: {gpu} of {node} reported Xid {xid} ({fault}) by {at}; {refunded}.",
        "Submit it again; it goes on from its last checkpoint.",
    ),
    Reason.LAUNCH_REFUSED: ReasonText(
        "The cluster refused its launch: {cause}.", "Mend the spec and submit it again."
    ),
    Reason.JOB_DELETED: ReasonText(
        "Its Job was deleted in the cluster, or its namespace is managed no more.",
        "Submit it again, or apply the Job anew in a namespace that is managed.",
    ),
    Reason.SUSPENDED: ReasonText(
        "Its Job was suspended in the cluster by somebody else. Queued again.", "`allot cancel` ends it for good."
    ),
    Reason.MISUSE: ReasonText(
        "Its process {pid} ({process}) is on {gpu} of {node}, which was not given to it. Operators can see it.",
        "Ask for the GPUs that it needs: a pod that is privileged, or sets NVIDIA_VISIBLE_DEVICES, sees others' too.",
    ),
    Reason.INTRUDED: ReasonText(
        "A process that is not its own is on its {gpu} of {node}. Operators can see whose.",
        "Nothing need be done: no charge rests on it. Ask an operator where it slows the work down.",
    ),
    Reason.REFUSED: ReasonText("Not taken in: {cause}."),
    Reason.QUEUE_FULL: ReasonText(
        "Not taken in yet: its author has as many workloads queued as anybody may, {limit}. It comes in by itself, in the "
        "order in which their Jobs were created, once fewer are.",
        "Cancel some of what is queued, or delete it.",
    ),
    Reason.RELABELLED: ReasonText(
        "It was judged as it was applied, and stays so: what is written on it since about {changed} changes nothing.",
        "Delete it and apply it anew to have that judged; left as it is, it keeps its place in the queue.",
    ),
}


def sentence(reason: Reason, evidence: Evidence, *, sees_pay: bool = True) -> str:
    """The reason as one sentence for its reader, who may see what the owner has left and has used, or may not."""
    text = TEXTS[reason]
    return filled(text.sentence if sees_pay else text.to_others or text.sentence, _as_read(evidence))


def next_step(reason: Reason, evidence: Evidence) -> str:
    """What its reader can do; empty where that is nothing."""
    return filled(TEXTS[reason].next_step, _as_read(evidence))


def _as_read(evidence: Evidence) -> Evidence:
    """Hours with gaps in their thousands, as everywhere else that people read them; programs read the evidence itself."""
    return {
        key: with_gaps(value) if key.endswith("_hours") and isinstance(value, str) else value
        for key, value in evidence.items()
    }


def for_others(evidence: Evidence) -> Evidence:
    """What of it may be seen by who may not see pay data."""
    return {key: value for key, value in evidence.items() if key not in PAY_DATA}
