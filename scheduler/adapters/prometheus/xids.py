"""Which Xids are new. dcgm-exporter tells each GPU's last one as a gauge, which stays until another comes or the exporter
begins anew; and, where it is configured to, how many of each there were lately."""

from dataclasses import dataclass, field

from scheduler.domain.units import GpuUuid


@dataclass(slots=True)
class ToldXids:
    """Of one device at one scrape: the last Xid (0: none yet; None: not told), and the counts by Xid."""

    last: int | None = None
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def has_any(self) -> bool:
        return bool(self.last or self.counts)


class XidMemory:
    """What each device's scrapes told so far. They are to be shown in the order of time, each once."""

    def __init__(self) -> None:
        self._last: dict[GpuUuid, int | None] = {}
        self._counts: dict[GpuUuid, dict[int, int]] = {}

    def new(self, uuid: GpuUuid, told: ToldXids) -> tuple[int, ...]:
        """Those that came in since the device's scrape before, in order.

        At its first one nothing is new: what is there already came in at a time that nobody knows. Later a gauge that
        begins to be told is a change, too: DCGM has no value before the first Xid. One that is not told for a while says
        nothing.
        """
        is_first = uuid not in self._counts
        last, counts = self._last.get(uuid), self._counts.get(uuid, {})
        self._last[uuid] = last if told.last is None else told.last
        self._counts[uuid] = told.counts
        if is_first:
            return ()
        more = {xid for xid, count in told.counts.items() if count > counts.get(xid, 0)}
        return tuple(sorted(more | ({told.last} if told.last and told.last != last else set())))
