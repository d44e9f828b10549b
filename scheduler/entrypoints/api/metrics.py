"""Metrics read at the moment of the scrape: sums only, nothing about a person."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.units import MS_PER_SECOND
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.api.gpu_metrics import fresh_windows
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.agents import at_work_for_nobody, unseen_nodes
from scheduler.metering.misuse import MisuseKind


class ServiceCollector(Collector):
    """Every family carries `simulated`, so that no dashboard mistakes the embedded cluster for a real one."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only by collecting, which registration must not do."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._workloads()
        yield from self._gpus()
        yield from self._readings()
        yield from self._allowances()
        yield from self._brakes()
        yield from self._cluster()
        yield from self._loops()

    @property
    def _simulated(self) -> str:
        return "true" if self._service.cluster.is_simulated else "false"

    def _gauge(self, name: str, about: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"allot_{name}", about, labels=["simulated", *labels])

    def _workloads(self) -> Iterator[Metric]:
        world = self._service.world
        known = list(world.workloads.values())
        by_state = self._gauge("workloads", "Workloads that are not final, by state.", ["state"])
        states = Counter(workload.state for workload in known)
        for state in WorkloadState:
            if not state.is_final:
                by_state.add_metric([self._simulated, state.value], states[state])
        yield by_state
        queued = self._gauge("queued_workloads", "Queued workloads, by the reason of their verdict.", ["reason"])
        verdicts = world.verdicts
        reasons = Counter(
            verdicts[workload.id].reason.value if workload.id in verdicts else workload.state_reason.value
            for workload in known
            if workload.state is WorkloadState.QUEUED
        )
        for reason, count in sorted(reasons.items()):
            queued.add_metric([self._simulated, reason], count)
        yield queued

    def _gpus(self) -> Iterator[Metric]:
        world = self._service.world
        counts: Counter[tuple[str, str]] = Counter()
        for node in list(world.nodes.values()):
            gpu_class = str(node.gpu_class or "")
            counts[gpu_class, "outside"] += node.outside_gpus
            counts[gpu_class, "capacity" if node.accepts_work else "drained"] += node.gpus
        for attempt in list(world.attempts.values()):
            counts[str(attempt.gpu_class), "funded" if attempt.is_funded else "unfunded"] += attempt.gpus
        gpus = self._gauge("gpus", "GPUs by class and what they are.", ["gpu_class", "state"])
        for (gpu_class, state), count in sorted(counts.items()):
            gpus.add_metric([self._simulated, gpu_class, state], count)
        yield gpus

    def _readings(self) -> Iterator[Metric]:
        """What is to be alerted of: misuse, and GPUs at work for nobody."""
        service = self._service
        told = Counter(misuse.kind for misuse in service.meter.strangers.told(service.clock.now()))
        misuses = self._gauge("misuses", "Processes of late on GPUs that were not given to them.", ["kind"])
        for kind in MisuseKind:
            misuses.add_metric([self._simulated, kind.value], told[kind])
        yield misuses
        world = service.world
        blind = self._gauge("misuse_unavailable_nodes", "Nodes where nobody can see who runs on a GPU.")
        blind.add_metric([self._simulated], len(unseen_nodes(world)))
        yield blind
        refused = CounterMetricFamily(
            "allot_refused_samples", "What was refused of what agents sent, by code.", labels=["simulated", "code"]
        )
        for code, count in sorted(service.meter.refused().items()):
            refused.add_metric([self._simulated, code], count)
        yield refused
        nobodys = self._gauge(
            "unattributed_gpus", "GPUs with processes, or used unseen, of no attempt and no other pod."
        )
        windows = fresh_windows(service, service.clock.now()).values()
        nobodys.add_metric([self._simulated], at_work_for_nobody(world, windows))
        yield nobodys

    def _allowances(self) -> Iterator[Metric]:
        balances: list[AllowanceBalance] = list(self._service.world.balances.values())
        seconds = self._gauge(
            "allowance_gpu_seconds", "Standard GPU-seconds of the open allowances: available, held.", ["state"]
        )
        seconds.add_metric([self._simulated, "available"], sum(b.available for b in balances) / MS_PER_SECOND)
        seconds.add_metric([self._simulated, "held"], sum(b.held for b in balances) / MS_PER_SECOND)
        yield seconds
        charged = self._gauge("live_charged_gpu_seconds", "Standard GPU-seconds charged to live attempts so far.")
        live = list(self._service.world.attempts.values())
        charged.add_metric([self._simulated], sum(attempt.charged for attempt in live) / MS_PER_SECOND)
        yield charged

    def _brakes(self) -> Iterator[Metric]:
        world = self._service.world
        now = self._service.clock.now()
        paused = self._gauge("brake_paused", "1 where an operator paused it.", ["brake"])
        stopped = self._gauge("brake_stopped_gpus", "GPUs stopped in the last ten minutes.", ["brake"])
        on = {pause.brake for pause in world.pauses}
        for brake in Brake:
            paused.add_metric([self._simulated, brake.value], int(brake in on))
            stopped.add_metric([self._simulated, brake.value], stopped_recently(world.stops, brake, now))
        yield paused
        yield stopped

    def _cluster(self) -> Iterator[Metric]:
        reachable = self._gauge("cluster_reachable", "1 while the cluster answers every watch.")
        reachable.add_metric([self._simulated], int(self._service.cluster.is_reachable))
        yield reachable

    def _loops(self) -> Iterator[Metric]:
        last = self._gauge("loop_last_success_timestamp_seconds", "When the loop last succeeded.", ["loop"])
        took = self._gauge("loop_last_run_seconds", "How long its last round took.", ["loop"])
        runs = CounterMetricFamily("allot_loop_runs", "Runs of the loop.", labels=["simulated", "loop"])
        failures = CounterMetricFamily("allot_loop_failures", "Runs that failed.", labels=["simulated", "loop"])
        for name, loop in sorted(self._service.loops.health().items()):
            if loop.last_success_at is not None:
                last.add_metric([self._simulated, name], loop.last_success_at / MS_PER_SECOND)
            took.add_metric([self._simulated, name], loop.last_seconds)
            runs.add_metric([self._simulated, name], loop.runs)
            failures.add_metric([self._simulated, name], loop.failures)
        yield last
        yield took
        yield runs
        yield failures
