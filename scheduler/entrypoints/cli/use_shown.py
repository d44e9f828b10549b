"""How a workload's attempts use their GPUs: the curve that idle decisions rest on, the clock, and what is advised."""

from typing import Any, Final

from scheduler.domain.units import MS_PER_MINUTE
from scheduler.entrypoints.cli.output import (
    Column,
    moment,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.web.formatting import DASH

STEPS: Final = "▁▂▃▄▅▆▇█"
ABSENT: Final = "·"
STATES: Final = {"active": "a", "idle-held": "i", "suspected-hung": "h", "unknown": "?"}


def show_use(found: dict[str, Any]) -> None:
    """Nothing where nothing was read."""
    if found["usage"]:
        print_text("\nUse of its GPUs", style="bold")
        print_table(_USAGE, [_usage_row(usage) for usage in found["usage"]])
        for advice in [advice for usage in found["usage"] for advice in usage["advice"]]:
            print_text(f"  {advice['sentence']}")
    if found["curve"]:
        show_curve(found["curve"])
    if found["idle"] is not None:
        show_idle(found["idle"])


def show_curve(points: list[dict[str, Any]]) -> None:
    """A column a point, at most sixty: the highest sample of any GPU, the power of all, and the state."""
    watts = [point["milliwatts"] for point in points]
    most = max((each for each in watts if each is not None), default=0)
    print_text(f"\nFrom {moment(points[0]['start'])} to {utc(points[-1]['end'])}", style="bold")
    print_text(f"  busy   {''.join(_step(point['percent_max'], 100) for point in points)}  of 100 %")
    print_text(f"  power  {''.join(_step(each, most) for each in watts)}  of {most // 1_000} W")
    print_text(f"  state  {''.join(STATES[point['state']] for point in points)}")
    print_text("  a active, i idle-held, h suspected hung, ? unknown; · was not read")


def show_idle(idle: dict[str, Any]) -> None:
    rested = idle["rested_ms"] // MS_PER_MINUTE
    print_text(
        f"\nIdle rule {idle['rule']}: {idle['action']}{' (a dry run)' if idle['is_dry_run'] else ''}", style="bold"
    )
    if idle["since"] is None:
        print_text("  It does not rest.")
        return
    print_text(
        f"  It has rested for {rested} of {idle['window_ms'] // MS_PER_MINUTE} minutes, since {utc(idle['since'])}."
    )
    if idle["cpu_waited_ms"]:
        waited, most = idle["cpu_waited_ms"] // MS_PER_MINUTE, idle["cpu_wait_ms_max"] or 0
        print_text(
            f"  Its CPUs were busy for {waited} min of that: the clock waited ({most // MS_PER_MINUTE} at most)."
        )
    if idle["due_at"] is not None:
        print_text(f"  If it rests on, the action is due at {utc(idle['due_at'])}.")


_USAGE = (
    Column("TRY", is_number=True),
    Column("MEAN OF", width_max=12),
    Column("MEAN", is_number=True),
    Column("MOST", is_number=True),
    Column("IDLE", is_number=True),
    Column("MEMORY", is_number=True),
    Column("KJ/GPU-HOUR", is_number=True),
    Column("READ", is_number=True),
)


def _usage_row(usage: dict[str, Any]) -> tuple[str, ...]:
    memory, joules = usage["memory_bytes_max"], usage["joules_per_active_gpu_hour"]
    return (
        str(usage["number"]),
        usage["measure"],
        _share(usage["mean_permille"]),
        DASH if usage["percent_max"] is None else f"{usage['percent_max']} %",
        _share(usage["idle_permille"]),
        DASH if memory is None else f"{memory / 2**30:.0f} GiB",
        DASH if joules is None else str(joules // 1_000),
        _share(usage["covered_permille"]),
    )


def _share(permille: int | None) -> str:
    return DASH if permille is None else f"{permille / 10:.0f} %"


def _step(value: int | None, most: int) -> str:
    """Any use at all is more than none."""
    if value is None:
        return ABSENT
    return STEPS[min(len(STEPS) - 1, -(-value * (len(STEPS) - 1) // most))] if most else STEPS[0]
