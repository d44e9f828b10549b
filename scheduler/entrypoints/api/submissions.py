"""What a submission may say: checked for form here, judged against policy and cluster by `Commands.submit`."""

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field

from scheduler.domain.arrays import COUNT_MAX
from scheduler.domain.cluster import PodRequest
from scheduler.domain.topology import topology_ask
from scheduler.domain.units import GpuClassName, PriorityClassName, ProjectName, WorkloadId
from scheduler.domain.workloads import Activity, AttestedUse, WorkloadKind, WorkloadSpec
from scheduler.entrypoints.api.fields import (
    PERSONAL,
    Argument,
    Body,
    Count,
    DurationMs,
    Label,
    Moment,
    Name,
    Text,
    instant_of,
)
from scheduler.lifecycle.asking.submit import AS_IT_IS, SubmissionTerms


class Submission(Body):
    """What jobs and sandboxes have in common."""

    name: Name
    project: Annotated[Name, Field(description="A project of the policy, or `personal`.")]
    gpu_classes: Annotated[list[Name], Field(min_length=1, max_length=16, description="In order of preference.")]
    time_limit_ms: Annotated[DurationMs, Field(description="Per attempt, in milliseconds.")]
    priority_class: Annotated[Name | None, Field(description="The policy's default where it is left out.")] = None
    image: Text | None = None
    command: Annotated[list[Argument] | None, Field(max_length=256)] = None
    cpu_milli: Annotated[int, Field(ge=1, le=10_000_000, description="Per pod.")] = 1000
    memory_mib: Annotated[int, Field(ge=1, le=100_000_000, description="Per pod.")] = 1024
    grace_seconds: Annotated[int, Field(ge=0, le=86_400, description="What a checkpoint needs after SIGTERM.")] = 30
    uses_compensation: Annotated[
        bool, Field(description="The owner's word that compensation may pay for this project's work.")
    ] = False
    nodes_with: Annotated[
        dict[Label, Label] | None, Field(max_length=16, description="Labels that nodes must have.")
    ] = None
    activity: Annotated[Activity | None, Field(strict=False, description="What the compute is for.")] = None
    attested_use: Annotated[
        AttestedUse | None, Field(strict=False, description="The owner's word: for business, or personal.")
    ] = None
    owner: Annotated[Name | None, Field(description="Operators may submit for somebody else.")] = None

    @abstractmethod
    def spec(self) -> WorkloadSpec:
        """The workload that is asked for."""

    def terms(self) -> SubmissionTerms:
        """What goes with it beside what is to run."""
        return AS_IT_IS

    def _spec(self, kind: WorkloadKind, pods: int, gpus_per_pod: int) -> WorkloadSpec:
        return WorkloadSpec(
            name=self.name,
            kind=kind,
            project=None if self.project == PERSONAL else ProjectName(self.project),
            gpu_classes=tuple(map(GpuClassName, self.gpu_classes)),
            priority_class=PriorityClassName(self.priority_class or ""),
            time_limit_ms=self.time_limit_ms,
            pods=pods,
            pod=PodRequest(gpus_per_pod, self.cpu_milli, self.memory_mib),
            image=self.image or "",
            command=tuple(self.command or ()),
            grace_seconds=self.grace_seconds,
            uses_compensation=self.uses_compensation,
            nodes_with=tuple(sorted((self.nodes_with or {}).items())),
            activity=self.activity,
            attested_use=self.attested_use,
        )


class ArraySubmission(Body):
    """One job, many indexes: each pod finds its own in ALLOT_ARRAY_INDEX."""

    count: Annotated[int, Field(ge=1, le=COUNT_MAX)]
    at_once: Annotated[int | None, Field(ge=1, le=COUNT_MAX, description="How many run at once.")] = None


class JobSubmission(Submission):
    """A job: pods × GPUs per pod, runs to completion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "train-atlas-7b",
                    "project": "atlas",
                    "gpu_classes": ["h100", "a100"],
                    "gpus_per_pod": 8,
                    "pods": 2,
                    "time_limit_ms": 28_800_000,
                    "image": "registry.example.com/train:1",
                    "command": ["python", "train.py"],
                }
            ]
        }
    )

    pods: Count = 1
    min_pods: Annotated[
        Count | None,
        Field(description="Makes it elastic: it starts with as many of its pods as fit, and no fewer than these."),
    ] = None
    gpus_per_pod: Count = 1

    topology: Annotated[
        str | None,
        Field(
            pattern=r"^(require|prefer):.{1,63}$",
            description="All pods in one domain: `require:rack`, `prefer:rack`.",
        ),
    ] = None
    runtime_max_ms: Annotated[DurationMs | None, Field(description="Of all attempts together, in milliseconds.")] = (
        None
    )

    begin_at: Annotated[Moment | None, Field(description="Not to start before.")] = None
    finish_by: Annotated[
        Moment | None, Field(description="Given up once it could not use its time limit before then.")
    ] = None
    after: Annotated[
        list[Name] | None, Field(max_length=100, description="Ids of workloads that must have completed first.")
    ] = None
    array: Annotated[ArraySubmission | None, Field(description="As many workloads; the first is answered.")] = None
    confirmed: Annotated[bool, Field(description="Not to be asked about a weekend.")] = False

    def terms(self) -> SubmissionTerms:
        return SubmissionTerms(
            begin_at=instant_of(self.begin_at),
            array_count=self.array.count if self.array is not None else None,
            at_once=self.array.at_once if self.array is not None else None,
            is_confirmed=self.confirmed,
        )

    def spec(self) -> WorkloadSpec:
        made = self._spec(WorkloadKind.JOB, self.pods, self.gpus_per_pod)
        return replace(
            made,
            min_pods=self.min_pods if self.min_pods != self.pods else None,
            runtime_max_ms=self.runtime_max_ms,
            topology=topology_ask(self.topology) if self.topology is not None else None,
            finish_by=instant_of(self.finish_by),
            after=tuple(map(WorkloadId, self.after or ())),
        )


class SandboxSubmission(Submission):
    """A sandbox: one pod. What is left out the policy fills in: image, command, priority class."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "notebook", "project": "atlas", "gpu_classes": ["h100"], "time_limit_ms": 14_400_000}
            ]
        }
    )

    gpus: Count = 1
    cpu_milli: Annotated[int, Field(ge=1, le=10_000_000)] = 4000
    memory_mib: Annotated[int, Field(ge=1, le=100_000_000)] = 16_384

    def spec(self) -> WorkloadSpec:
        return self._spec(WorkloadKind.SANDBOX, 1, self.gpus)
