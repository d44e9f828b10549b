"""Launched Jobs: those of workloads with a live attempt, which accounts for what its placement's pods hold."""

from scheduler.domain.units import JobUid


class LaunchedJobs:
    """For how many pods of each an attempt accounts, and of which that changed since the cluster was told."""

    def __init__(self) -> None:
        self._pods: dict[JobUid, int] = {}
        self._moved: dict[JobUid, int] = {}

    def mark(self, uid: JobUid | None, pods: int) -> None:
        if uid is None or pods == self._pods.get(uid, 0):
            return
        self._pods[uid] = self._moved[uid] = pods
        if not pods:
            del self._pods[uid]

    def take_moved(self) -> dict[JobUid, int]:
        taken, self._moved = self._moved, {}
        return taken
