"""Reservations: the GPUs kept for a preemptor whose victims are still ending."""

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.keeping.bookings import pod_of
from scheduler.decision.snapshot import Reservation
from scheduler.decision.walking.starts import Starts
from scheduler.domain.brakes import Brake
from scheduler.domain.units import WorkloadId
from scheduler.domain.workloads import Workload


def serve_reservations(index: Index, starts: Starts) -> list[WorkloadId]:
    """Launch those whose victims have ended. Returns those whose reservation has lapsed, or lost its nodes."""
    lapsed: list[WorkloadId] = []
    pause = index.pause(Brake.LAUNCH)
    for workload_id, reservation in sorted(index.reservations.items(), key=lambda item: (item[1].until, item[0])):
        workload = index.queued.get(workload_id)
        moving = index.launched.get(workload_id) if reservation.is_move else None
        reserved_for = workload or moving
        if reserved_for is None or _has_lapsed(index, reserved_for, reservation):
            lapsed.append(workload_id)
        elif workload is None:
            continue  # it still ends where it was
        elif _has_come_free(index, workload, reservation):
            if pause is not None:
                starts.alone[workload_id] = evidence.launch_paused(pause)
            else:
                starts.launch_reserved(workload, reservation)
    return lapsed


def _has_lapsed(index: Index, workload: Workload, reservation: Reservation) -> bool:
    """Whether its time is up, its nodes are lost to it, or policy has its classes no more. The place of a move waits for it
    as long as it is whole."""
    gpu_class, placement = reservation.gpu_class, reservation.placement
    if not index.policy.has_classes_of(workload.spec.priority_class, (gpu_class,)):
        return True
    if not index.capacity.may_stand(gpu_class, placement, index.lines.shape(workload.spec)):
        return True
    if reservation.is_move:
        return not index.capacity.is_free(gpu_class, placement, pod_of(0))
    return reservation.until <= index.now or _is_lost(index, workload, reservation)


def _is_lost(index: Index, workload: Workload, reservation: Reservation) -> bool:
    """Whether all victims have ended and its nodes still have no room for it: one has lost a GPU, or somebody outside came.
    While any of them still ends it waits: judged anew, it might have others stopped beside them."""
    placement, capacity = reservation.placement, index.capacity
    is_free = capacity.is_free(reservation.gpu_class, placement, workload.spec.pod)
    return not is_free and not capacity.is_stopping_on(placement)


def _has_come_free(index: Index, workload: Workload, reservation: Reservation) -> bool:
    """The GPUs on its nodes, and the quota that its victims gave up."""
    gpu_class = reservation.gpu_class
    if reservation.is_move:
        return True  # its place was free when it was chosen, and has been taken for it since
    if not index.capacity.is_free(gpu_class, reservation.placement, workload.spec.pod):
        return False
    pool = index.policy.pool_of_team.get(workload.team)
    if pool is None or not index.quotas.has(pool.name, gpu_class):
        return True
    return index.quotas.free_for_promised(pool.name, gpu_class) >= reservation.pods * workload.spec.pod.gpus
