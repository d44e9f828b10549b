"""One allot to a managed namespace: what one launches another would suspend, and each would charge its own.

A Lease says who has a namespace, as Leases say who leads Kubernetes' own controllers. They lie in the service's own
namespace, where those who work in the managed ones cannot write. A service with the same books goes on at once, because
their database lets in one at a time; any other waits until nobody has renewed the claim for as long as it says. By whose
clock is no matter: that a Lease did not change is seen, not read from its stamps.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Final

import orjson

from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.names import DOMAIN, RawObject
from scheduler.adapters.kubernetes.stamps import micro_time
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.units import Instant

logger = logging.getLogger(__name__)

SYSTEM_NAMESPACE: Final = "allot-system"
BOOKS: Final = DOMAIN + "books"
"""Annotation of a Lease: the books of the service that has it."""

_LEASES: Final = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims. `books` is an id of the ledger, `process` of this run of the service, with its machine's name."""

    books: str
    process: str


@dataclass(frozen=True, slots=True)
class ClaimTiming:
    """A claim lasts `duration_seconds` from its last renewal; its holder writes nothing for the last `margin_seconds` of
    it, in which a call that is under way may still arrive."""

    duration_seconds: int = 40
    margin_seconds: float = 10.0
    renew_seconds: float = 10.0
    retry_seconds: float = 2.0


@dataclass(slots=True)
class _Held:
    """A Lease of ours as it was last written, and when, in monotonic seconds."""

    lease: RawObject
    renewed: float


@dataclass(slots=True)
class Claims:
    """Of one service, on the namespaces that it manages. It outlives connections: what was seen of others counts on."""

    claimant: Claimant
    now: Callable[[], Instant]
    timing: ClaimTiming = ClaimTiming()
    lost: Unavailable | None = None
    """Who has a namespace of ours instead."""
    _held: dict[str, _Held | None] = field(default_factory=dict)
    """By namespace; None where nobody can claim: there is no namespace for Leases, or no right to write them."""
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Of others' Leases the version, and since when it has been that."""

    @property
    def may_write(self) -> bool:
        """Whether all that was claimed is surely still ours. Asked from any thread."""
        lasts = self.timing.duration_seconds - self.timing.margin_seconds
        moment = monotonic()
        return self.lost is None and all(
            held is None or moment - held.renewed < lasts for held in list(self._held.values())
        )

    async def take(self, connection: Connection, namespaces: Iterable[str]) -> None:
        """Take or renew each. Raises Unavailable: `namespace-claimed` where another has one, or no answer."""
        wanted = sorted(set(namespaces))
        for gone in self._held.keys() - set(wanted):
            await self._give_back(connection, gone)
        try:
            for namespace in wanted:
                await self._take(connection, namespace)
        except Unavailable as error:
            if error.code is RefusalCode.NAMESPACE_CLAIMED:
                self.lost = error
            raise
        self.lost = None

    async def keep(self, connection: Connection, namespaces: Callable[[], Iterable[str]]) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.take(connection, namespaces())
                pause = self.timing.renew_seconds
            except Unavailable:  # `lost` says who else has a namespace, and the watches that there is no answer
                pause = self.timing.retry_seconds
            except Exception:  # whoever renews no more would lose the namespaces without a word
                logger.exception("the claims on managed namespaces could not be renewed")
                pause = self.timing.retry_seconds
            await asyncio.sleep(pause)

    async def give_back(self, connection: Connection) -> None:
        """So that whoever comes next need not wait. Who cannot be told finds it out by themselves."""
        for namespace in list(self._held):
            with suppress(Unavailable):
                await self._give_back(connection, namespace)

    async def _give_back(self, connection: Connection, namespace: str) -> None:
        held = self._held.pop(namespace)
        if held is None or self.lost is not None:
            return
        given = await self._put(connection, namespace, held.lease, holder="")
        if given.status == HTTPStatus.CONFLICT:  # a renewal that was cut off may have been written
            answer = await connection.request("GET", f"{_LEASES}/{_name(namespace)}")
            found = orjson.loads(answer.body) if answer.is_success else {}
            if (found.get("spec") or {}).get("holderIdentity") == self.claimant.process:
                await self._put(connection, namespace, found, holder="")

    async def _take(self, connection: Connection, namespace: str) -> None:
        held = self._held.get(namespace)
        if held is not None and await self._renewed(connection, namespace, held.lease):
            return
        answer = await connection.request("GET", f"{_LEASES}/{_name(namespace)}")
        if answer.status == HTTPStatus.NOT_FOUND:
            await self._create(connection, namespace)
        elif answer.status == HTTPStatus.FORBIDDEN:
            self._go_without(namespace, answer)
        elif not answer.is_success:
            raise _refused(answer)
        else:
            found = orjson.loads(answer.body)
            if not self._may_take(namespace, found):
                raise _taken(namespace, found)
            if not await self._renewed(connection, namespace, found):
                raise _taken(namespace, found)  # somebody was faster: who, the next look says

    def _may_take(self, namespace: str, lease: RawObject) -> bool:
        """Whether it is ours, free, of the same books at our start, or has been left to itself."""
        spec, version = lease.get("spec") or {}, str(lease["metadata"]["resourceVersion"])
        if spec.get("holderIdentity") in {None, "", self.claimant.process}:
            return True
        books = (lease["metadata"].get("annotations") or {}).get(BOOKS)
        if namespace not in self._held and books == self.claimant.books:
            return True
        known = self._seen.get(namespace)
        if known is None or known[0] != version:
            known = self._seen[namespace] = (version, monotonic())
        return monotonic() - known[1] > (spec.get("leaseDurationSeconds") or self.timing.duration_seconds)

    async def _create(self, connection: Connection, namespace: str) -> None:
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": _name(namespace)}}
        began = monotonic()
        answer = await connection.request("POST", _LEASES, body=orjson.dumps(self._claimed(lease)))
        if answer.is_success:
            self._held[namespace] = _Held(orjson.loads(answer.body), began)
        elif answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            self._go_without(namespace, answer)
        else:
            raise _refused(answer)

    async def _renewed(self, connection: Connection, namespace: str, lease: RawObject) -> bool:
        """Whether it could be written as ours; not where somebody wrote it since."""
        began = monotonic()
        answer = await self._put(connection, namespace, lease, holder=self.claimant.process)
        if answer.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
            return False
        if answer.status == HTTPStatus.FORBIDDEN:
            self._go_without(namespace, answer)
            return True
        if not answer.is_success:
            raise _refused(answer)
        self._held[namespace] = _Held(orjson.loads(answer.body), began)
        self._seen.pop(namespace, None)
        return True

    async def _put(self, connection: Connection, namespace: str, lease: RawObject, *, holder: str) -> Answer:
        claimed = self._claimed(lease, holder)
        return await connection.request("PUT", f"{_LEASES}/{_name(namespace)}", body=orjson.dumps(claimed))

    def _claimed(self, lease: RawObject, holder: str | None = None) -> RawObject:
        """With its version, where it has one: a write is refused where somebody wrote it since."""
        holder, stamp = self.claimant.process if holder is None else holder, micro_time(self.now())
        spec = dict(lease.get("spec") or {})
        if spec.get("holderIdentity") != holder:
            spec["acquireTime"] = stamp
        spec |= {"holderIdentity": holder, "renewTime": stamp, "leaseDurationSeconds": self.timing.duration_seconds}
        return {
            **lease,
            "metadata": {**lease["metadata"], "annotations": {BOOKS: self.claimant.books}, "managedFields": []},
            "spec": spec,
        }

    def _go_without(self, namespace: str, answer: Answer) -> None:
        if namespace not in self._held:
            logger.warning("%s is managed without a claim on it: %s", namespace, status_message(answer))
        self._held[namespace] = None


def _name(namespace: str) -> str:
    return f"allot.{namespace}"


def _refused(answer: Answer) -> Unavailable:
    return Unavailable(
        f"a claim on a namespace was answered {answer.status}: {status_message(answer)}",
        code=RefusalCode.CLUSTER_UNAVAILABLE,
    )


def _taken(namespace: str, lease: RawObject) -> Unavailable:
    spec = lease.get("spec") or {}
    return Unavailable(
        f"another allot ({spec.get('holderIdentity')}) manages the namespace {namespace}, as of {spec.get('renewTime')}",
        code=RefusalCode.NAMESPACE_CLAIMED,
        expected=f"one service to a namespace: the Lease {_name(namespace)} in {SYSTEM_NAMESPACE} says which",
        remedy="stop that one, or have this one look on (--observe); a claim that is not renewed falls to this one",
    )
