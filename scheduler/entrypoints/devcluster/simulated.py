"""How a simulated pod or node behaves: the annotations that the simulated kubelets read (tests/controlplane/kubelets).

A Job's pod template hands its annotations down, so a Job is told how its pods will fare.
"""

from importlib.resources import files

_PREFIX = "simulated.allot.dev/"

RUN_SECONDS = f"{_PREFIX}run-seconds"  # from start to end; without it a pod runs until it is told to stop
EXIT_CODE = f"{_PREFIX}exit-code"  # at the end of run-seconds; 0 unless said
START_DELAY_SECONDS = f"{_PREFIX}start-delay-seconds"  # between binding and start, as an image pull
TERMINATION_SECONDS = f"{_PREFIX}termination-seconds"  # from SIGTERM to the end; over the grace is killed, 137
TERMINATION_EXIT_CODE = f"{_PREFIX}termination-exit-code"  # of one that ends within the grace; 143 unless said
KILL_SECONDS = f"{_PREFIX}kill-seconds"  # from SIGKILL to the end, as a process stuck in the kernel
HANG = f"{_PREFIX}hang"  # start (never starts), image (never pulled), termination (deaf to SIGKILL)
NODE = f"{_PREFIX}node"  # on a node: "true" makes it one of the simulated ones
NOT_READY = f"{_PREFIX}not-ready"  # on a node: "true" fails it, anything else lets it recover


def cluster_objects() -> str:
    """What a simulated cluster holds from its first second, as one YAML stream."""
    return (files("scheduler.entrypoints.devcluster") / "manifests" / "cluster.yaml").read_text()
