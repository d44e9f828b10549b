"""What an agent is told when it starts."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scheduler.domain.errors import InvalidInput
from scheduler.domain.units import NodeName


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """`token_file` is read again whenever the API says that the token is not good: projected tokens are replaced.

    `proc` is where the host's /proc is mounted, `cgroups` its control groups, and `pod_resources` the kubelet's socket,
    asked every `allocations_ms`; `cdi` has what the drivers of DRA wrote of claims.
    `watchdog_ms` is how long the sampler may be silent; its first reading may take `first_reading_ms`, since without
    persistence mode a GPU is initialised only then. `metrics` is the address and port at which Prometheus is answered
    (port 0: any that is free); nowhere where it is empty.
    """

    node: NodeName
    server: str
    spool: Path
    token_file: Path | None = None
    ca_file: Path | None = None
    proc: Path = Path("/proc")
    pod_resources: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    cgroups: Path = Path("/sys/fs/cgroup")
    cdi: Path = Path("/var/run/cdi")
    allocations_ms: int = 10_000
    sample_ms: int = 5_000
    window_ms: int = 15_000
    inventory_ms: int = 60_000
    watchdog_ms: int = 20_000
    first_reading_ms: int = 120_000
    spool_windows_max: int = 200_000
    batch_windows_max: int = 200
    retry_ms_max: int = 60_000
    request_ms: int = 10_000
    metrics: str = ""

    def __post_init__(self) -> None:
        address = urlsplit(self.server)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise InvalidInput(
                f"the server {self.server!r} is not an address",
                expected="http:// or https:// and a host",
                remedy="set --server or ALLOT_SERVER",
            )
        if not self.node:
            raise InvalidInput("no node is named", remedy="set --node, or NODE_NAME from spec.nodeName")
        for name in ("sample_ms", "window_ms", "inventory_ms", "watchdog_ms", "allocations_ms", "spool_windows_max"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}", expected="more than 0")
        if self.window_ms < self.sample_ms or self.watchdog_ms < 2 * self.sample_ms:
            raise InvalidInput(
                f"samples every {self.sample_ms} ms do not fit windows of {self.window_ms} ms and a watchdog of "
                f"{self.watchdog_ms} ms",
                expected="a window of at least one sample, and a watchdog of at least two",
            )

        if self.metrics and not self.metrics.rpartition(":")[2].isdigit():
            raise InvalidInput(
                f"metrics at {self.metrics!r}", expected="an address and a port", remedy="--metrics 0.0.0.0:9410"
            )

    @property
    def gap_ms(self) -> int:
        """Longer than this between two readings, and what lies between them is not covered."""
        return 5 * self.sample_ms // 2
