"""Actions carried out on the apiserver, each repeatable: what the answers mean is decided here."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.events import event, telling_patch
from scheduler.adapters.kubernetes.launching import (
    adopting_patch,
    ending_patch,
    launch_patch,
    resize_patch,
    suspend_patch,
)
from scheduler.adapters.kubernetes.manifests import SandboxShape, job_manifest, spec_hash
from scheduler.adapters.kubernetes.mirror import ClusterMirror
from scheduler.adapters.kubernetes.names import (
    APPLY_PATCH,
    AUTHOR,
    FIELD_MANAGER,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    METADATA_ONLY,
    SPEC_HASH,
    STRATEGIC_PATCH,
    WORKLOAD,
    RawObject,
)
from scheduler.adapters.kubernetes.sandboxes import surroundings
from scheduler.adapters.kubernetes.successors import succeeds, successor
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.domain.actions import (
    Action,
    ActionOutcome,
    ActionResult,
    CreateJob,
    DeleteJob,
    LaunchJob,
    ResizeJob,
    SuspendJob,
    TellJob,
)
from scheduler.domain.cluster import GpuClass
from scheduler.domain.units import GpuClassName, Instant, JobUid
from scheduler.domain.workloads import Origin, WorkloadKind

_MARKING_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""How long a launch waits after each try for the Job controller's mark; after the last the next cycle tries."""


@dataclass(frozen=True, slots=True)
class WriterIdentity:
    """Who writes: `username` as the apiserver knows us (empty: unknown), `instance` as Events name this process."""

    username: str = ""
    instance: str = "allot"


class Writer:
    """One action at a time; side by side is the caller's business."""

    def __init__(
        self,
        connection: Connection,
        mirror: ClusterMirror,
        *,
        now: Callable[[], Instant],
        identity: WriterIdentity = WriterIdentity(),
        shape: SandboxShape = SandboxShape(),  # noqa: B008 (frozen)
        kept_seconds: int = 86_400,
    ) -> None:
        self._connection = connection
        self._mirror = mirror
        self._now = now
        self._identity = identity
        self._shape = shape
        self._kept_seconds = kept_seconds
        self._classes: Mapping[GpuClassName, GpuClass] = {}

    def use_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        self._classes = dict(classes)

    async def carry_out(self, action: Action) -> ActionOutcome:
        """Raises Unavailable where the API does not answer."""
        match action:
            case CreateJob():
                return await self._create(action)
            case LaunchJob():
                return await self._launch(action)
            case ResizeJob():
                return await self._resize(action)
            case SuspendJob():
                return await self._suspend(action)
            case DeleteJob():
                return await self._delete(action)
            case TellJob():
                return await self._tell(action)

    # create

    async def _create(self, action: CreateJob) -> ActionOutcome:
        workload = action.workload
        shape, author = self._shape_for(action), self._identity.username
        if action.former:
            former = await self._connection.request("GET", _job(workload.namespace, action.former))
            if not former.is_success:
                return _outcome(action, former)
            raw = orjson.loads(former.body)
            if not succeeds(action, raw, self._classes, author):
                return ActionOutcome(action, ActionResult.GONE, "another Job has its name now")
            manifest = successor(workload, raw, author)
        else:
            manifest = job_manifest(workload, action.gpu_class, shape, self._kept_seconds, author)
        answer = await self._send("POST", _jobs(workload.namespace), manifest)
        if answer.status == 409:
            outcome = await self._adopt(action)
        else:
            outcome = _created(action, answer)
        if outcome.result is ActionResult.DONE and workload.spec.kind is WorkloadKind.SANDBOX:
            assert outcome.job_uid is not None, "a Job that answered has a UID"
            return await self._furnish(action, outcome, outcome.job_uid)
        return outcome

    async def _adopt(self, action: CreateJob) -> ActionOutcome:
        """Of a Job that is there already: ours where it carries our id and the hash of what was asked.

        Where the admission policy stamps authors, it must have been created by us, too: labels can be forged.
        """
        answer = await self._connection.request("GET", _job(action.workload.namespace, action.workload.job_name))
        if answer.status == 404:
            return ActionOutcome(action, ActionResult.RETRY, "the Job of that name went while it was looked at")
        if not answer.is_success:
            return _outcome(action, answer)
        metadata = orjson.loads(answer.body)["metadata"]
        annotations = metadata.get("annotations") or {}
        author = annotations.get(AUTHOR, "")
        is_ours = (
            annotations.get(WORKLOAD) == action.workload.id
            and annotations.get(SPEC_HASH) == spec_hash(action.workload)
            and author in {"", self._identity.username}
            and not metadata.get("deletionTimestamp")
        )
        if is_ours:
            return _outcome(action, answer)
        by = f" by {author}" if author else ""
        return ActionOutcome(
            action,
            ActionResult.FOREIGN,
            f"a Job named {action.workload.job_name} is in {action.workload.namespace} already, created{by}",
        )

    async def _furnish(self, action: CreateJob, outcome: ActionOutcome, job_uid: JobUid) -> ActionOutcome:
        around = surroundings(action.workload, job_uid, action.key, self._shape_for(action))
        claims = f"/api/v1/namespaces/{action.workload.namespace}/persistentvolumeclaims"
        answer = await self._send("POST", claims, around.home)
        if not answer.is_success and answer.status != 409:
            return _outcome(action, answer)
        for path, piece in around.furniture:
            answer = await self._connection.request(
                "PATCH",
                path,
                body=orjson.dumps(piece),
                content_type=APPLY_PATCH,
                params={"fieldManager": FIELD_MANAGER, "force": "true"},
            )
            if not answer.is_success:
                return _outcome(action, answer)
        return outcome

    def _shape_for(self, action: CreateJob) -> SandboxShape:
        terms = action.sandbox
        return self._shape if terms is None else replace(self._shape, port=terms.port, home_gib=terms.home_gib)

    # launch and suspend

    async def _launch(self, action: LaunchJob) -> ActionOutcome:
        """What somebody wrote on the Job meanwhile keeps it from no launch, as long as it is as it was judged.

        Invalid is only what was refused after the Job was seen to be marked as suspended: Kubernetes 1.36 lets nobody
        change the resources of one that its controller has not marked yet, and before 1.36.2 not its place either
        (kubernetes/kubernetes#139281)."""
        is_theirs = action.workload.origin is not Origin.API
        known = self._mirror.waiting(action.job_uid, action.generation)
        found = await self._as_judged(action) if is_theirs and known is None else known
        was_marked = False
        for wait_seconds in _MARKING_SECONDS:
            if isinstance(found, ActionOutcome):
                return found
            answer = await self._ask_to_launch(action, found)
            if answer.status not in {409, 422}:
                return _outcome(action, answer)
            found = await self._as_judged(action)
            if answer.status == 422 and not isinstance(found, ActionOutcome):
                if was_marked:
                    return _outcome(action, answer)
                was_marked = _is_marked(found)
                if not was_marked:
                    await asyncio.sleep(wait_seconds)
        return ActionOutcome(action, ActionResult.RETRY, "the Job's controller has not marked it suspended yet")

    async def _ask_to_launch(self, action: LaunchJob, job: RawObject | None) -> Answer:
        """`job` is what a user applied, as last known; of ours nothing need be."""
        path = _job(action.workload.namespace, action.workload.job_name)
        if action.workload.origin is Origin.API:
            patch = launch_patch(action, changes_resource=self._changes_resource(action))
            return await self._send("PATCH", path, patch, JSON_PATCH)
        assert job is not None, "it was asked for where it was not known"
        return await self._send("PATCH", path, adopting_patch(action, job), STRATEGIC_PATCH)

    def _changes_resource(self, action: LaunchJob) -> bool:
        named = (self._classes.get(name, action.gpu_class) for name in action.workload.spec.gpu_classes)
        return len({gpu_class.resource for gpu_class in (*named, action.gpu_class)}) > 1

    async def _resize(self, action: ResizeJob) -> ActionOutcome:
        path = _job(action.workload.namespace, action.workload.job_name)
        answer = await self._send("PATCH", path, resize_patch(action), JSON_PATCH)
        if answer.status != 422:
            return _outcome(action, answer)
        found = await self._as_judged(action)
        return found if isinstance(found, ActionOutcome) else _outcome(action, answer)

    async def _as_judged(self, action: LaunchJob | ResizeJob) -> RawObject | ActionOutcome:
        """The Job, where it is still as it was judged. After a 422 what was asked is invalid then: a failed test answers
        422, too."""
        workload = action.workload
        answer = await self._connection.request("GET", _job(workload.namespace, workload.job_name))
        if not answer.is_success:
            return _outcome(action, answer)
        job: RawObject = orjson.loads(answer.body)
        metadata = job["metadata"]
        if metadata["uid"] != action.job_uid:
            return ActionOutcome(action, ActionResult.GONE, "another Job has its name now")
        if metadata["generation"] != action.generation:
            return ActionOutcome(
                action,
                ActionResult.STALE,
                f"judged at generation {action.generation}, now {metadata['generation']}",
                job_uid=action.job_uid,
                generation=metadata["generation"],
            )
        return job

    async def _suspend(self, action: SuspendJob) -> ActionOutcome:
        workload = action.workload
        path = _job(workload.namespace, workload.job_name)
        patch = ending_patch(action.job_uid) if action.is_lingering else suspend_patch(action.job_uid)
        answer = await self._send("PATCH", path, patch, JSON_PATCH)
        if answer.status == 422:
            seen = await self._connection.request("GET", path)
            if seen.status == 404 or (
                seen.is_success and orjson.loads(seen.body)["metadata"]["uid"] != action.job_uid
            ):
                return ActionOutcome(action, ActionResult.GONE, "another Job has its name now")
        return _outcome(action, answer)

    # delete and tell

    async def _delete(self, action: DeleteJob) -> ActionOutcome:
        """In the foreground: the Job stays, being deleted, until its last pod has ended with its grace."""
        workload = action.workload
        path = _job(workload.namespace, workload.job_name)
        job_uid = action.job_uid
        if job_uid is None:
            seen = await self._connection.request("GET", path)
            if not seen.is_success:
                return _outcome(action, seen)
            metadata = orjson.loads(seen.body)["metadata"]
            if (metadata.get("annotations") or {}).get(WORKLOAD) != workload.id:
                return ActionOutcome(action, ActionResult.FOREIGN, f"the Job {workload.job_name} is not ours")
            job_uid = metadata["uid"]
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": job_uid}}
        answer = await self._send("DELETE", path, options)
        if answer.status == 409:
            return ActionOutcome(action, ActionResult.GONE, "another Job has its name now")
        return _outcome(action, answer)

    async def _tell(self, action: TellJob) -> ActionOutcome:
        answer = None
        if action.is_status:
            answer = await self._send(
                "PATCH", _job(action.namespace, action.job_name), telling_patch(action), MERGE_PATCH
            )
            if not action.is_event or not answer.is_success:
                return _outcome(action, answer)
        path = f"/apis/events.k8s.io/v1/namespaces/{action.namespace}/events"
        told = await self._send("POST", path, event(action, self._now(), self._identity.instance))
        if not told.is_success and told.status != 409:  # 409: it was told before
            return _outcome(action, told)
        if answer is None:
            return ActionOutcome(action, ActionResult.DONE, job_uid=action.job_uid)
        return _outcome(action, answer)

    async def _send(
        self, method: str, path: str, body: RawObject | list[dict[str, object]], content_type: str = JSON
    ) -> Answer:
        """Of what was written, its metadata is all that is read."""
        return await self._connection.request(
            method, path, body=orjson.dumps(body), content_type=content_type, accept=METADATA_ONLY
        )


def _jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def _job(namespace: str, name: str) -> str:
    return f"{_jobs(namespace)}/{name}"


def _is_marked(job: RawObject) -> bool:
    """Suspended by its status, too."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Suspended" and found["status"] == "True" for found in conditions)


def _created(action: CreateJob, answer: Answer) -> ActionOutcome:
    """A namespace that is missing is the platform's to make: the workload waits for it, and says so."""
    if answer.status == 404:
        return ActionOutcome(action, ActionResult.FORBIDDEN, f"404: {status_message(answer)}")
    return _outcome(action, answer)


def _outcome(action: Action, answer: Answer) -> ActionOutcome:
    if answer.is_success:
        metadata = orjson.loads(answer.body).get("metadata") or {}
        return ActionOutcome(
            action, ActionResult.DONE, job_uid=metadata.get("uid"), generation=metadata.get("generation")
        )
    return ActionOutcome(action, _result(answer), f"{answer.status}: {status_message(answer)}")


def _result(answer: Answer) -> ActionResult:
    if answer.status == 404:
        return ActionResult.GONE
    if answer.status == 409:
        return ActionResult.STALE
    if answer.status == 401 or answer.asks_to_retry:
        return ActionResult.RETRY
    if _is_mended_by_an_admin(answer):
        return ActionResult.FORBIDDEN
    return ActionResult.REFUSED


def _is_mended_by_an_admin(answer: Answer) -> bool:
    """Whether RBAC or a full ResourceQuota forbids it, rather than an admission policy, which judged the object."""
    if answer.status != 403:
        return False
    message = status_message(answer)
    return "exceeded quota" in message or (" cannot " in message and " resource " in message)
