"""Launched Jobs: those of workloads with a live attempt, which accounts for what their pods hold."""

from scheduler.domain.units import JobUid


class LaunchedJobs:
    """Which they are, and which joined or left them since the cluster was told."""

    def __init__(self) -> None:
        self._jobs: set[JobUid] = set()
        self._moved: dict[JobUid, bool] = {}

    def mark(self, uid: JobUid | None, *, is_launched: bool) -> None:
        if uid is not None and is_launched != (uid in self._jobs):
            (self._jobs.add if is_launched else self._jobs.discard)(uid)
            self._moved[uid] = is_launched

    def take_moved(self) -> dict[JobUid, bool]:
        taken, self._moved = self._moved, {}
        return taken
