"""A sandbox that served a request in the window is not idle, by what its node's agent saw of its connections."""

from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import Company, changes, job_seen
from tests.lifecycle.platform import JOBS, SANDBOXES, Platform


def served_at(company: Company, workload_id: WorkloadId) -> Instant | None:
    view = Views(company.store, company.world).explain(company.caller("ada"), workload_id, company.now)
    assert view.idle is not None
    return view.idle.served_at


def test_a_sandbox_that_serves_a_request_now_and_then_is_never_warned(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(12, pods=pods, served=())
    assert served_at(company, workload.id) is None
    for _ in range(4):
        platform.minutes(1, pods=pods, served=pods)
        last = company.now
        platform.minutes(14, pods=pods, served=())
    assert platform.verdicts(workload) == [Reason.RUNNING]
    assert served_at(company, workload.id) == last
    platform.minutes(20, pods=pods, served=())
    assert platform.verdicts(workload)[-1] is Reason.IDLE, "it rests since it served the last"


def test_a_request_takes_a_warning_back(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(38, pods=pods)
    platform.minutes(1, pods=pods, served=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2, Reason.RUNNING]


def test_the_connections_of_anothers_pod_tell_nothing_of_it(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    platform.minutes(42, pods=platform.agents.pod_of(workload), served=("pod-of-somebody-else",))
    assert platform.verdicts(workload)[-1] is Reason.IDLE


def test_the_kubelets_probes_are_nobodys_requests(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    company.see(changes(job_seen(workload, is_suspended=False, active=1, is_probed=True)))
    pods = platform.agents.pod_of(workload)
    platform.minutes(42, pods=pods, served=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE
    assert served_at(company, workload.id) is None


def test_a_job_whose_pods_accept_connections_rests_all_the_same(company: Company) -> None:
    platform = Platform(company, JOBS)
    workload, _ = platform.agents.start()
    pods = platform.agents.pod_of(workload)
    platform.minutes(45, pods=pods, served=pods)
    assert platform.hindrances(workload) == [(False, "no-checkpoint")]
