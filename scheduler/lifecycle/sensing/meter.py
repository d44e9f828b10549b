"""Meter: take what agents send. Each window is judged alone; what is refused is counted with its reason, never lost.

Readings say how GPUs are used and by whom. They never touch a charge: what is charged is what was allocated.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import ANY_NODE, Caller, Role
from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, AttemptId, GpuUuid, Instant, NodeName
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.claiming import NO_ROOM, TOO_MANY_GPUS, claimed, without_room
from scheduler.lifecycle.sensing.sampling import Sampling
from scheduler.lifecycle.sensing.strangers import Strangers
from scheduler.lifecycle.sensing.warning import words_about
from scheduler.lifecycle.writing.batch import Batch
from scheduler.lifecycle.writing.together import Together
from scheduler.metering.admission import Admission, inventory_clock
from scheduler.metering.devices import Inventory, KnownGpu, SensorState
from scheduler.metering.fields import text
from scheduler.metering.misuse import Misuse, MisuseKey
from scheduler.metering.refusals import RefusedSample
from scheduler.metering.use import Metered
from scheduler.metering.windows import Window
from scheduler.metering.wire import inventory_from_json, window_from_json
from scheduler.ports import Books, Store

WINDOWS_MAX = 2_000
"""In one body: ten times what an agent sends at once."""

MOVED_AFTER_MS = 24 * MS_PER_HOUR
"""A device that two nodes claim stays with the first, unless that one has said nothing for so long."""

DETAIL_MAX = 300

NOTHING_TOLD = "it has not told what GPUs it has"
ANOTHERS_TOKEN = "token-of-another-node"  # noqa: S105  # a code, no secret

REFUSED_FOR = (
    *(each.value for each in Admission if each not in {Admission.TAKEN, Admission.DUPLICATE}),
    *(each.value for each in (RefusalCode.INVALID_SAMPLE, RefusalCode.BODY_TOO_LARGE, RefusalCode.UNKNOWN_NODE)),
    ANOTHERS_TOKEN,
    TOO_MANY_GPUS,
)
"""Every code under which something is counted."""


@dataclass(frozen=True, slots=True)
class RefusedWindow:
    """One window of a body that was not taken, as its sender named it."""

    gpu_uuid: str
    sequence: int | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a body's windows. All of them are answered for: none need be sent again."""

    taken: int = 0
    duplicates: int = 0
    refused: tuple[RefusedWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """Windows of a node as they came: JSON values that nobody has judged yet."""

    node: NodeName
    boot_id: str
    windows: Sequence[Any]


@dataclass
class _Judged:
    """A post while it is judged."""

    post: Post
    windows: list[Window] = field(default_factory=list)
    refused: list[RefusedWindow] = field(default_factory=list)
    taken: int = 0
    duplicates: int = 0

    def refuse(self, code: str, detail: str, gpu_uuid: str, sequence: int | None) -> None:
        self.refused.append(RefusedWindow(gpu_uuid, sequence, code, detail[:DETAIL_MAX]))

    def accepted(self) -> Accepted:
        return Accepted(self.taken, self.duplicates, tuple(self.refused))


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one caller's posts came to: shown once they are committed."""

    accepted: list[Accepted]
    metered: list[Metered]
    strangers: Mapping[MisuseKey, Misuse]
    intruded: Mapping[MisuseKey, frozenset[AttemptId]]


class _Group(Batch):
    """One transaction of several callers: their windows are sampled one after the other, and written at once."""

    def __init__(self, books: Books, world: World, now: Instant, sampling: Sampling) -> None:
        super().__init__(books, world, now)
        self.sampling = sampling
        self.refused: list[RefusedSample] = []

    def save(self) -> None:
        self.sampling.save()
        self.books.samples.refuse(self.refused)


class Meter:
    """The verbs of agents. Safe from several threads: the store makes them take turns."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self.strangers = Strangers()
        self._refused: Counter[str] = Counter(dict.fromkeys(REFUSED_FOR, 0))
        self._refused_lock = threading.Lock()
        self._known: dict[GpuUuid, KnownGpu] = {}
        """Devices as the books have them; touched within write transactions alone, of which there is one at a time."""
        self._together: Together[_Kept, _Group] = Together(self._opened)

    def accept_inventory(self, caller: Caller, node: NodeName, body: Any, *, now: Instant) -> Inventory:
        """What the node says is there. Returns it as it was kept: without devices that another node has."""
        self._require_agent(caller, node, now)
        with self._counting(self._blamed(caller, node), now):
            told = inventory_from_json(node, body)
        code = inventory_clock(told.taken_at, now)
        if code is not None:
            off_s = abs(told.taken_at - now) // MS_PER_SECOND
            self._count(node, code.value, f"its inventory, by {off_s} s: taken as of now", now)
        # As of when it came: by a clock that is ahead its devices would stay its own for as long as that is, and by one
        # that is behind, or where its sampler hangs, anybody's.
        told = replace(told, taken_at=now)
        with self._store.writing() as books:
            kept, refused = self._keep_inventory(books, told, now)
        self._tally(refused)
        self._world.readings.put_inventory(kept)
        return kept

    def accept_windows(self, caller: Caller, node: NodeName, body: Any, *, now: Instant) -> Accepted:
        """Windows of a node that has told its inventory; `unknown-node` where it has not."""
        self._require_agent(caller, node, now)
        with self._counting(self._blamed(caller, node), now):
            post = _post(node, body)
        self._require_known(node, now, blamed=self._blamed(caller, node))
        return self.accept_all([post], now=now)[0]

    def accept_all(self, posts: Sequence[Post], *, now: Instant) -> list[Accepted]:
        """Several nodes' windows in one transaction, by a caller that speaks for all of them; what is answered is in their
        order. A post of a node that has told no inventory is counted, left out and no other's loss."""
        known = [post for post in posts if self._is_known(post.node)]
        for post in posts:
            if not self._is_known(post.node):
                self._count(post.node, RefusalCode.UNKNOWN_NODE.value, NOTHING_TOLD, now)
        judged = [_read(post) for post in known]
        kept = self._together.run(lambda group: _keep(group, judged), now)
        self._tally(refused.code for accepted in kept.accepted for refused in accepted.refused)
        self._world.put_metered(kept.metered)
        for item in kept.metered:
            self._world.readings.sightings.note(item.window)
        for misuse in self.strangers.put(kept.strangers, now):
            self._world.words.add(words_about(self._world, misuse, kept.intruded[misuse.key]))
        return kept.accepted

    def refused(self) -> dict[str, int]:
        """How much was refused since this process began, by code: the books have it for good."""
        with self._refused_lock:
            return dict(self._refused)

    def kept_until(self) -> dict[NodeName, Instant]:
        """Where what is kept of each node's devices ends: a window from before is refused."""
        with self._store.reading() as books:
            known = books.samples.all_gpus()
        ends: dict[NodeName, Instant] = {}
        for gpu in known:
            if gpu.node is not None and gpu.end is not None:
                ends[gpu.node] = max(gpu.end, ends.get(gpu.node, gpu.end))
        return ends

    def refuse_body(self, caller: Caller, node: NodeName, refusal: InvalidInput, *, now: Instant) -> None:
        """Count a body that could not even be read."""
        self._require_agent(caller, node, now)
        self._count(self._blamed(caller, node), refusal.code.value, str(refusal), now)

    def refuse_name(self, caller: Caller, refusal: InvalidInput, *, now: Instant) -> None:
        """Count what was sent in the name of a node that can be none, against whoever sent it."""
        caller.require(Role.AGENT)
        self._count(_sender(caller), refusal.code.value, str(refusal), now)

    def _blamed(self, caller: Caller, node: NodeName) -> NodeName:
        """Against whom it counts. A token for all nodes may name any: those that are there alone have a count of theirs."""
        is_there = node in self._world.readings.inventories or node in self._world.nodes
        return node if is_there or caller.node == node else _sender(caller)

    @contextmanager
    def _opened(self, now: Instant) -> Iterator[_Group]:
        """Agents post at the same moment: those that wait for the same turn to write share one transaction.

        Where it is not committed, nothing that it made known of any device may be believed.
        """
        try:
            with self._store.writing() as books:
                group = _Group(
                    books, self._world, now, Sampling(books, self._world, now, self._known, self.strangers)
                )
                yield group
                group.save()
        except BaseException:
            self._known = {}
            raise

    def _require_agent(self, caller: Caller, node: NodeName, now: Instant) -> None:
        caller.require(Role.AGENT)
        if caller.node not in {node, ANY_NODE}:
            self._count(_sender(caller), ANOTHERS_TOKEN, f"it spoke for {node}", now)
            raise NotPermitted(
                f"this token speaks for {caller.node}, not for {node}",
                code=RefusalCode.NOT_YOURS,
                where="node",
                remedy="give each node's agent a token of its own",
            )

    def _require_known(self, node: NodeName, now: Instant, *, blamed: NodeName) -> None:
        if not self._is_known(node):
            self._count(blamed, RefusalCode.UNKNOWN_NODE.value, NOTHING_TOLD, now)
            raise NotFound(
                f"{node} has not told what GPUs it has",
                code=RefusalCode.UNKNOWN_NODE,
                where="node",
                remedy=f"PUT /v1/nodes/{node}/inventory first",
            )

    def _is_known(self, node: NodeName) -> bool:
        """A sampler that has not come up yet says nothing of its devices, and windows may wait from before it."""
        told = self._world.readings.inventories.get(node)
        return told is not None and (told.sensor_state is SensorState.OK or bool(told.devices))

    @contextmanager
    def _counting(self, node: NodeName, now: Instant) -> Any:
        """A body that is malformed as a whole is refused as a whole, and counted."""
        try:
            yield
        except InvalidInput as refusal:
            self._count(node, refusal.code.value, str(refusal), now)
            raise

    def _count(self, node: NodeName, code: str, detail: str, now: Instant) -> None:
        with self._store.writing() as books:
            books.samples.refuse([RefusedSample(node, "", code, 1, now, now, detail[:DETAIL_MAX])])
        self._tally([code])

    def _tally(self, codes: Iterable[str]) -> None:
        with self._refused_lock:
            self._refused.update(codes)

    def _keep_inventory(self, books: Books, told: Inventory, now: Instant) -> tuple[Inventory, list[str]]:
        """Claim the devices that are new here. Those that are gone stay its own until another node claims them: their last
        windows come after the inventory that has them no more, and may have waited in the spool for long.

        Returned with the codes by which devices were refused."""
        before = self._world.readings.inventories.get(told.node)
        if told.sensor_state is not SensorState.OK:
            # Its devices say nothing now: what it had before is still there.
            kept = replace(told, devices=before.devices if before is not None else ())
            books.samples.put_inventory(kept)
            return kept, []
        known = dict(books.samples.gpus([device.gpu_uuid for device in told.devices]))
        refused = {
            gpu.gpu_uuid: (Admission.FOREIGN_GPU.value, f"{gpu.node} has it")
            for gpu in known.values()
            if self._is_foreign(gpu, told.node, now)
        }
        refused |= dict.fromkeys(without_room(books, told, known, now), (TOO_MANY_GPUS, NO_ROOM))
        books.samples.refuse(
            [RefusedSample(told.node, uuid, code, 1, now, now, why) for uuid, (code, why) in sorted(refused.items())]
        )
        kept = replace(told, devices=tuple(device for device in told.devices if device.gpu_uuid not in refused))
        changed = claimed(kept.devices, known, told.node)
        for gpu in changed:
            self._known.pop(gpu.gpu_uuid, None)
        books.samples.put_gpus(changed)
        books.samples.put_inventory(kept)
        return kept, [code for code, _ in refused.values()]

    def _is_foreign(self, gpu: KnownGpu, node: NodeName, now: Instant) -> bool:
        if gpu.node is None or gpu.node == node:
            return False
        theirs = self._world.readings.inventories.get(gpu.node)
        if theirs is None or now - theirs.taken_at >= MOVED_AFTER_MS:
            return False
        return any(device.gpu_uuid == gpu.gpu_uuid for device in theirs.devices)


def _keep(group: _Group, judged: Sequence[_Judged]) -> _Kept:
    sampling = group.sampling
    sampling.look_up(window.gpu_uuid for item in judged for window in item.windows)
    before = len(sampling.metered)
    for item in judged:
        for window in item.windows:
            _take(sampling, item, window)
    group.refused += [_counted(item.post.node, refused, group.now) for item in judged for refused in item.refused]
    return _Kept(
        [item.accepted() for item in judged], sampling.metered[before:], sampling.strangers, sampling.intruded
    )


def _sender(caller: Caller) -> NodeName:
    return NodeName(caller.subject if caller.node in {None, ANY_NODE} else caller.node or "")


def _post(node: NodeName, body: Any) -> Post:
    windows = body.get("windows") if isinstance(body, dict) else None
    boot_id = body.get("boot_id") if isinstance(body, dict) else None
    if not isinstance(windows, list) or not isinstance(boot_id, str):
        raise _malformed("a body without windows or boot_id", "node, boot_id and windows")
    text("boot_id", boot_id)
    if body.get("node") != node:
        raise _malformed(f"windows of {str(body.get('node'))[:60]!r}", f"those of {node}, which the address names")
    if len(windows) > WINDOWS_MAX:
        raise _malformed(f"{len(windows)} windows", f"at most {WINDOWS_MAX} at once")
    return Post(node, boot_id, windows)


def _malformed(found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_SAMPLE, where="body", expected=expected)


def _read(post: Post) -> _Judged:
    judged = _Judged(post)
    for body in post.windows:
        try:
            judged.windows.append(window_from_json(post.node, post.boot_id, body))
        except InvalidInput as refusal:
            judged.refuse(refusal.code.value, str(refusal), *_named(body))
    return judged


def _named(body: Any) -> tuple[str, int | None]:
    """The device and sequence that a malformed window names, as far as they can be shown."""
    if not isinstance(body, dict):
        return "", None
    uuid: Any = body.get("gpu_uuid")
    sequence: Any = body.get("sequence")
    is_shown = isinstance(uuid, str) and len(uuid) <= 256 and uuid.isprintable()
    is_number = isinstance(sequence, int) and not isinstance(sequence, bool)
    return str(uuid) if is_shown else "", int(sequence) if is_number else None


def _take(sampling: Sampling, judged: _Judged, window: Window) -> None:
    admission = sampling.take(window)
    if admission is Admission.TAKEN:
        judged.taken += 1
    elif admission is Admission.DUPLICATE:
        judged.duplicates += 1
    else:
        last = sampling.last_end(window.gpu_uuid)
        known = "nothing is kept of it" if last is None else f"what is kept ends at {iso(last)}"
        detail = f"from {iso(window.start)} to {iso(window.end)}; {known}"
        judged.refuse(admission.value, detail, window.gpu_uuid, window.sequence)


def _counted(node: NodeName, refused: RefusedWindow, now: Instant) -> RefusedSample:
    return RefusedSample(node, refused.gpu_uuid, refused.code, 1, now, now, refused.detail)
