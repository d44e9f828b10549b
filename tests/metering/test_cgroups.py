import pytest

from scheduler.domain.units import PodUid
from scheduler.metering.cgroups import PodProcess, pod_of, started_ticks

POD = "0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f"
SLICE_POD = POD.replace("-", "_")
STATIC_POD = "9f1d6c3a0b5e47d28c7a1e2f3b4c5d6e"
CONTAINER = "ab" * 32

FORMS = {
    "cgroup v2, cgroupfs, burstable": f"0::/kubepods/burstable/pod{POD}/{CONTAINER}",
    "cgroup v2, cgroupfs, guaranteed": f"0::/kubepods/pod{POD}/{CONTAINER}",
    "cgroup v1, cgroupfs, several controllers": (
        f"12:pids:/kubepods/besteffort/pod{POD}/{CONTAINER}\n"
        f"1:name=systemd:/kubepods/besteffort/pod{POD}/{CONTAINER}\n0::/"
    ),
    "systemd, containerd": (
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_POD}.slice"
        f"/cri-containerd-{CONTAINER}.scope"
    ),
    "systemd, CRI-O": f"0::/kubepods.slice/kubepods-pod{SLICE_POD}.slice/crio-{CONTAINER}.scope",
    "systemd, CRI-O with crun": f"0::/kubepods.slice/kubepods-pod{SLICE_POD}.slice/crio-{CONTAINER}.scope/container",
    "groups that the container made below its own": f"0::/kubepods/pod{POD}/{CONTAINER}/docker/{'cd' * 32}",
    "systemd, docker": (
        f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SLICE_POD}.slice"
        f"/docker-{CONTAINER}.scope"
    ),
    "misconfigured containerd": (
        f"0::/system.slice/containerd.service/kubepods-burstable-pod{SLICE_POD}.slice:cri-containerd:{CONTAINER}"
    ),
    "seen from inside a cgroup namespace": f"0::/../../burstable/pod{POD}/{CONTAINER}",
    "nested in a container's own cgroup tree": f"0::/docker/{'cd' * 32}/kubepods/pod{POD}/{CONTAINER}",
}


@pytest.mark.parametrize("cgroup", FORMS.values(), ids=FORMS.keys())
def test_a_pod_is_found_in_every_form_a_cgroup_takes(cgroup: str) -> None:
    assert pod_of(cgroup) == PodProcess(PodUid(POD), container_id=CONTAINER)


def test_a_static_pods_uid_keeps_its_form_without_dashes() -> None:
    found = pod_of(f"0::/kubepods/burstable/pod{STATIC_POD}/{CONTAINER}")
    assert found == PodProcess(PodUid(STATIC_POD), container_id=CONTAINER)


def test_a_process_in_the_pods_own_cgroup_has_no_container() -> None:
    assert pod_of(f"0::/kubepods/pod{POD}") == PodProcess(PodUid(POD), container_id=None)


@pytest.mark.parametrize(
    "cgroup",
    ["", "0::/", "0::/system.slice/nvidia-dcgm.service", "0::/user.slice/podman/podcast", f"0::/podx{POD}"],
)
def test_a_process_of_the_host_has_no_pod(cgroup: str) -> None:
    assert pod_of(cgroup) is None


def test_a_start_is_read_past_a_name_with_brackets_and_spaces() -> None:
    tail = " ".join(["S", *("0" for _ in range(18)), "987654", "0"])
    assert started_ticks(f"42 (a) b (c)) {tail}") == 987654


def test_a_start_is_absent_from_a_text_cut_short_or_without_a_number() -> None:
    assert started_ticks("42 (python) S 1 2") is None
    assert started_ticks(f"42 (python) {' '.join(['S', *'0' * 18])} soon") is None
