"""GPUs with processes of nobody's: what is alerted of, and what is not."""

from dataclasses import dataclass, replace
from typing import cast

import pytest

from scheduler.domain.cluster import Node
from scheduler.domain.idleness import MisuseTerms
from scheduler.domain.units import NodeName, PodUid
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.agents import at_work_for_nobody, unseen_nodes
from scheduler.metering.samples import PodRef
from scheduler.metering.windows import ProcessSeen, Window
from tests.lifecycle.agents import Agents, gpu, window
from tests.lifecycle.build import NOON, Company

N0 = NodeName("n0")
BUSY = window("n0", 0, 1, NOON, pods=("somebodys-pod",))
IDLE = window("n0", 1, 1, NOON)
UNSEEN = replace(BUSY, process_count_max=None, processes=None)
UNUSED = window("n0", 0, 1, NOON, percent=0).utilization
POD, OTHER = PodRef("kube-system", "theirs"), PodRef("research", "ours")


def with_process(name: str, pod_uid: PodUid | None = None) -> Window:
    return replace(BUSY, granted=(), processes=(ProcessSeen(100, 1, None, 50, pod_uid, None, name=name),))


CASES: dict[str, tuple[list[Window], int]] = {
    "nobody was given it": ([replace(BUSY, granted=()), IDLE], 1),
    "a pod of another owner was given it": ([replace(BUSY, granted=(POD,))], 0),
    "pods that share it in time were given it": ([replace(BUSY, granted=(OTHER, POD))], 0),
    "the kubelet could not be asked": ([BUSY, replace(BUSY, gpu_uuid=gpu("n0", 2))], 2),
    "the driver's own process is there": ([with_process("nvidia-cuda-mps")], 0),
    "a process of the host is there": ([with_process("python")], 1),
    "a pod's process has the name of the driver's": ([with_process("nvidia-cuda-mps", PodUid("p"))], 1),
    "its processes are known by number alone": ([replace(BUSY, processes=None)], 1),
    "nobody can see processes, and it is used": ([replace(UNSEEN, granted=())], 1),
    "nobody can see processes, and it rests": ([replace(UNSEEN, granted=(), utilization=UNUSED)], 0),
    "nobody can see processes, and a pod has it": ([replace(UNSEEN, granted=(POD,))], 0),
    "nobody runs": ([IDLE, replace(IDLE, granted=())], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_a_gpu_is_nobodys_where_neither_we_nor_the_kubelet_know_of_anybody(case: str, company: Company) -> None:
    windows, expected = CASES[case]
    assert at_work_for_nobody(company.world, windows) == expected


def test_where_the_kubelet_is_silent_pods_that_are_not_ours_account_for_what_they_asked_for(company: Company) -> None:
    company.world.nodes[N0] = replace(company.world.nodes[N0], outside_gpus=1)
    other = replace(BUSY, gpu_uuid=gpu("n0", 2))
    assert at_work_for_nobody(company.world, [BUSY]) == 0
    assert at_work_for_nobody(company.world, [BUSY, other]) == 1
    assert at_work_for_nobody(company.world, [BUSY, replace(other, granted=())]) == 1


def test_what_an_attempt_has_is_not_nobodys(company: Company) -> None:
    agents = Agents(company)
    agents.register()
    workload, _ = agents.start()
    agents.post(agents.latest(0, pods=agents.pod_of(workload)))
    assert at_work_for_nobody(company.world, company.world.readings.windows.values()) == 0


def test_what_policy_allows_in_pods_that_are_not_ours_is_no_work_and_ours_is(company: Company) -> None:
    agents = Agents(company)
    agents.register()
    workload, _ = agents.start()
    (ours,) = agents.pod_of(workload)
    policy = company.world.require_policy()
    company.world.put_policy(replace(policy, misuse=MisuseTerms(allowed_in_pods=frozenset({"nvidia-cuda-mps"}))))
    assert at_work_for_nobody(company.world, [with_process("nvidia-cuda-mps", PodUid("p"))]) == 0
    assert at_work_for_nobody(company.world, [with_process("python", PodUid("p"))]) == 1
    assert at_work_for_nobody(company.world, [with_process("nvidia-cuda-mps", PodUid(ours))]) == 1


@dataclass
class Bringing:
    """A node that another one follows just as it is looked at."""

    world: World
    name: NodeName = N0

    @property
    def gpus(self) -> int:
        self.world.put_node(NodeName("late"), replace(self.world.nodes[NodeName("n1")], name=NodeName("late")))
        return 8


def test_a_node_that_comes_while_they_are_counted_breaks_nothing(company: Company) -> None:
    company.world.nodes[N0] = cast(Node, Bringing(company.world))
    counted = unseen_nodes(company.world)
    assert {"n0", "n1"} <= set(counted)
    assert set(unseen_nodes(company.world)) == {*counted, "late"}
