"""How a workload's attempts use their GPUs: the curve that idle decisions rest on, the clock, and what is advised."""

from typing import Any, Final

from scheduler.domain.units import JOULES_PER_KWH, MS_PER_MINUTE
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.output import (
    Column,
    moment,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.web.formatting import DASH
from scheduler.entrypoints.web.reclaim_words import became_of, why_left_alone
from scheduler.metering.idle import IdleState
from scheduler.metering.spells import merge
from scheduler.metering.windows import largest

STEPS: Final = "▁▂▃▄▅▆▇█"
ABSENT: Final = "·"
COLUMNS_MAX: Final = 60
STATES: Final = {"active": "a", "idle-held": "i", "suspected-hung": "h", "unknown": "?"}


def show_use(found: dict[str, Any]) -> None:
    """Nothing where nothing was read. A rule is told of while it counts, and where anything came of it."""
    if found["usage"]:
        print_text("\nUse of its GPUs", style="bold")
        print_table(_USAGE, [_usage_row(usage) for usage in found["usage"]])
        for advice in [advice for usage in found["usage"] for advice in usage["advice"]]:
            print_text(f"  {advice['sentence']}")
    if found["curve"]:
        show_curve(found["curve"])
    idle = found["idle"]
    if idle is not None and (found["workload"]["state"] == "running" or idle["exemption"] or idle["decisions"]):
        show_idle(idle)
        show_decisions(idle["decisions"], found["curve"])


def show_curve(told: list[dict[str, Any]]) -> None:
    """At most sixty columns, for narrow terminals: the highest sample of any GPU, the power of all, and the state."""
    each = -(-len(told) // COLUMNS_MAX)
    points = [_together(told[first : first + each]) for first in range(0, len(told), each)]
    watts = [point["milliwatts"] for point in points]
    most = max((each for each in watts if each is not None), default=0)
    print_text(f"\nFrom {moment(points[0]['start'])} to {utc(points[-1]['end'])}", style="bold")
    print_text(f"  busy   {''.join(_step(point['percent_max'], 100) for point in points)}  of 100 %")
    print_text(f"  power  {''.join(_step(each, most) for each in watts)}  of {most // 1_000} W")
    print_text(f"  state  {''.join(STATES[point['state']] for point in points)}")
    print_text("  a active, i idle-held, h suspected hung, ? unknown; · was not read")


def _together(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Neighbours as one: what one of them did not read of power is not read, and one at work is work."""
    watts = [point["milliwatts"] for point in points]
    return {
        "start": points[0]["start"],
        "end": points[-1]["end"],
        "percent_max": largest(point["percent_max"] for point in points),
        "milliwatts": None if None in watts else sum(watts) // len(watts),
        "state": merge({IdleState(point["state"]) for point in points}).value,
    }


def show_idle(idle: dict[str, Any]) -> None:
    rested = idle["rested_ms"] // MS_PER_MINUTE
    print_text(
        f"\nIdle rule {idle['rule']}: {idle['action']}{' (a dry run)' if idle['is_dry_run'] else ''}", style="bold"
    )
    kept, served_at = idle["exemption"], idle["served_at"]
    if kept is not None:
        print_text(f"  {kept['by']} keeps it until {utc(kept['expires_at'])}: {kept['why']}")
    if served_at is not None:
        print_text(f"  It served a request by {utc(served_at)}, which set its clock back.")
    if idle["since"] is None:
        print_text("  It does not rest now.")
        return
    window = idle["window_ms"] // MS_PER_MINUTE
    if rested < window:
        print_text(f"  It has rested for {rested} of {window} minutes, since {utc(idle['since'])}.")
    else:
        print_text(f"  It has rested for {rested} minutes, since {utc(idle['since'])}: all {window} of its rule.")
        print_text(f"  {_what_became(idle)}")
    if idle["cpu_waited_ms"]:
        waited, most = idle["cpu_waited_ms"] // MS_PER_MINUTE, idle["cpu_wait_ms_max"] or 0
        print_text(
            f"  Its CPUs were busy for {waited} min of that: the clock waited ({most // MS_PER_MINUTE} at most)."
        )
    if idle["due_at"] is not None:
        print_text(f"  If it rests on, the action is due at {utc(idle['due_at'])}.")
    if idle["keep_alives_left"]:
        print_text(f"  `allot extend` sets its clock back, {counted(idle['keep_alives_left'], 'time')} more.")


def _what_became(idle: dict[str, Any]) -> str:
    """Of a rest as long as the rule's window: what was decided on it, or that nothing was yet: a brake or the stop rate
    puts it off, or a warning leaves time to answer."""
    decided = next((each for each in idle["decisions"] if each["since"] == idle["since"]), None)
    if decided is None:
        return "Nothing was done about it yet."
    if decided["is_taken"]:
        return f"It is being {became_of(decided['action'], is_taken=True)}."
    return f"It was left alone: {why_left_alone(decided['hindrance'])}."


def show_decisions(decisions: list[dict[str, Any]], shown: list[dict[str, Any]]) -> None:
    """What was due, newest first, and the readings that the latest rests on, where they are not among those `shown`."""
    for each in decisions:
        became = became_of(each["action"], is_taken=each["is_taken"])
        why = "" if each["is_taken"] else f": {why_left_alone(each['hindrance'])}"
        print_text(f"  {utc(each['at'])}: {became} after {each['rested_ms'] // MS_PER_MINUTE} min of rest{why}")
    if decisions and decisions[0]["curve"] and (not shown or shown[0]["start"] > decisions[0]["since"]):
        show_curve(decisions[0]["curve"])


_USAGE = (
    Column("TRY", is_number=True),
    Column("MEAN OF", width_max=12),
    Column("MEAN", is_number=True),
    Column("MOST", is_number=True),
    Column("IDLE", is_number=True),
    Column("MEMORY", is_number=True),
    Column("KWH/USEFUL GPU-H", is_number=True),
    Column("READ", is_number=True),
)


def _usage_row(usage: dict[str, Any]) -> tuple[str, ...]:
    memory = usage["memory_bytes_max"]
    return (
        str(usage["number"]),
        usage["measure"],
        share_of(usage["mean_permille"]),
        DASH if usage["percent_max"] is None else f"{usage['percent_max']} %",
        share_of(usage["idle_permille"]),
        DASH if memory is None else f"{memory / 2**30:.0f} GiB",
        kwh(usage["joules_per_active_gpu_hour"]),
        share_of(usage["covered_permille"]),
    )


def kwh(joules: int | None) -> str:
    """Of each hour in which a GPU was at work, the energy of its rest with it."""
    return DASH if joules is None else f"{joules / JOULES_PER_KWH:.2f}"


def share_of(permille: int | None) -> str:
    """In whole percents."""
    return DASH if permille is None else f"{permille / 10:.0f} %"


def _step(value: int | None, most: int) -> str:
    """Any use at all is more than none."""
    if value is None:
        return ABSENT
    return STEPS[min(len(STEPS) - 1, -(-value * (len(STEPS) - 1) // most))] if most else STEPS[0]
