"""The names that we and Kubernetes write on objects: labels, annotations, gates, media types. Nothing else."""

from typing import Any, Final

RawObject = dict[str, Any]
"""An API object as the apiserver sends it, decoded and otherwise untouched."""

DOMAIN: Final = "allot.dev/"

MANAGED_NAMESPACE: Final = "allot.dev/managed"
"""Label of a namespace whose Jobs we take in."""

# what a user writes on a Job, as a label or an annotation
PROJECT: Final = "allot.dev/project"
PRIORITY_CLASS: Final = "allot.dev/priority-class"
GPU_CLASSES: Final = "allot.dev/gpu-classes"
TIME_LIMIT: Final = "allot.dev/time-limit"
USES_COMPENSATION: Final = "allot.dev/uses-compensation"
TOPOLOGY: Final = "allot.dev/topology"
MIN_PODS: Final = "allot.dev/min-pods"
CONFIRMED: Final = "allot.dev/confirmed"
CHECKPOINTED_AT: Final = "allot.dev/checkpointed-at"

# what we write
WORKLOAD: Final = "allot.dev/workload"
KIND: Final = "allot.dev/kind"
SPEC_HASH: Final = "allot.dev/spec-hash"
ATTEMPT: Final = "allot.dev/attempt"
PLACEMENT: Final = "allot.dev/placement"
"""Annotation of the pod template (of an elastic Job, of the Job itself, where it may change while the Job runs): which
node takes how many pods; also the name of the scheduling gate."""
STATUS: Final = "allot.dev/status"
REASON: Final = "allot.dev/reason"

# what the admission policy of manifests/ writes
AUTHOR: Final = "allot.dev/author"

ON_JOBS: Final = frozenset(
    {
        PROJECT,
        PRIORITY_CLASS,
        GPU_CLASSES,
        TIME_LIMIT,
        USES_COMPENSATION,
        TOPOLOGY,
        MIN_PODS,
        CONFIRMED,
        CHECKPOINTED_AT,
    }
    | {WORKLOAD, KIND, SPEC_HASH, ATTEMPT, PLACEMENT, STATUS, REASON, AUTHOR}
)
"""All names of ours that a Job may have."""

# what others write
JOB_CONTROLLER: Final = "kubernetes.io/job-controller"
"""The value of spec.managedBy that means Kubernetes' own, as its absence does."""
FOREGROUND: Final = "foregroundDeletion"
"""The finalizer with which Kubernetes keeps what is deleted until all that it owns is gone."""
OVER_SECONDS: Final = 1
"""The activeDeadlineSeconds of a Job that is to end at once."""
KUEUE_QUEUE: Final = "kueue.x-k8s.io/queue-name"
KUEUE_REQUIRED_TOPOLOGY: Final = "kueue.x-k8s.io/podset-required-topology"
KUEUE_PREFERRED_TOPOLOGY: Final = "kueue.x-k8s.io/podset-preferred-topology"
"""Annotations of a pod template; their values are labels of nodes."""
HOSTNAME: Final = "kubernetes.io/hostname"
COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"

PERSONAL: Final = "personal"
FIELD_MANAGER: Final = "allot"

JSON: Final = "application/json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""As `Accept`: an answer without spec and status. A refusal has neither and comes as plain JSON, the second choice."""
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
