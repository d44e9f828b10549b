"""The room on one node while victims are looked for."""

from dataclasses import dataclass

from scheduler.decision.keeping.ahead import Rows


@dataclass(slots=True)
class NodeRoom:
    """What would be available on one node, now and as bookings begin. In plain numbers: it is changed by one victim after
    the other."""

    room: list[int]
    asked: Rows | None
    """What one pod of the preemptor asks; None where it may not go there."""

    def add(self, freed: Rows, sign: int) -> int:
        """Take or put back what a victim would free. Returns how many pods more fit, or fewer where negative."""
        before = self.pods
        self.room = [known + sign * each for known, each in zip(self.room, freed, strict=True)]
        return self.pods - before

    @property
    def pods(self) -> int:
        if self.asked is None:
            return 0
        return max(0, min(left // each for left, each in zip(self.room, self.asked, strict=True) if each))
