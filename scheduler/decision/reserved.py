"""Reservations: the GPUs kept for a preemptor whose victims are still ending."""

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.snapshot import Reservation
from scheduler.decision.starts import Starts
from scheduler.domain.brakes import Brake
from scheduler.domain.units import WorkloadId
from scheduler.domain.workloads import Workload


def serve_reservations(index: Index, starts: Starts) -> list[WorkloadId]:
    """Launch those whose victims have ended. Returns those whose reservation has lapsed, or lost its nodes."""
    lapsed: list[WorkloadId] = []
    pause = index.pause(Brake.LAUNCH)
    for workload_id, reservation in sorted(index.reservations.items(), key=lambda item: (item[1].until, item[0])):
        workload = index.queued.get(workload_id)
        placement, gpu_class = reservation.placement, reservation.gpu_class
        if workload is None or reservation.until <= index.now or not index.capacity.is_lasting(gpu_class, placement):
            lapsed.append(workload_id)
        elif _has_come_free(index, workload, reservation):
            if pause is not None:
                starts.alone[workload_id] = evidence.launch_paused(pause)
            else:
                starts.launch_reserved(workload, reservation)
    return lapsed


def _has_come_free(index: Index, workload: Workload, reservation: Reservation) -> bool:
    """The GPUs on its nodes, and the quota that its victims gave up."""
    gpu_class = reservation.gpu_class
    if not index.capacity.is_free(gpu_class, reservation.placement, workload.spec.pod):
        return False
    pool = index.policy.pool_of_team.get(workload.team)
    if pool is None or not index.quotas.has(pool.name, gpu_class):
        return True
    return index.quotas.free_for_promised(pool.name, gpu_class) >= reservation.pods * workload.spec.pod.gpus
