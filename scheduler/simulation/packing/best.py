"""Ours: by worth, with the attitude that suits the cluster."""

from random import Random

from scheduler.simulation.packing.by_worth import ByWorth
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet, Gpus
from scheduler.simulation.packing.outlook import Outlook
from scheduler.simulation.packing.rehearsal import rehearsed


class Best:
    """Knows what FGD knows: the nodes, and how frequent the kinds of task are."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        outlook = Outlook.of(fleet, workload)
        self._shapes = workload.shapes
        self._placing = ByWorth(fleet, outlook, rehearsed(fleet, workload, outlook))

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        return self._placing.choose(self._shapes[kind])
