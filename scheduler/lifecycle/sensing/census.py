"""Census: what nodes offer, kept as it changes, so that any hour's capacity can be told long after."""

from dataclasses import replace

from scheduler.domain.cluster import Node, NodeSpan
from scheduler.domain.units import MS_PER_SECOND, Instant, NodeName
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Store


class Census:
    """Knows the spans that are open, so that a round in which nothing changed reads and writes nothing.

    A node that is new, or grew, did so since the last round, and may have been given work at once: its span begins
    then, at the whole second, as Kubernetes stamps what it runs. One that shrank or went had what it had until now. So no
    pod is ever older than what it runs on.
    """

    def __init__(self, store: Store, world: World, since: Instant) -> None:
        self._store = store
        self._world = world
        self._last_at = since
        self._open: dict[NodeName, NodeSpan] | None = None

    def run(self, now: Instant) -> int:
        """Close the spans of nodes that changed or went, and open what they offer now. Returns how many changed."""
        if self._open is None:
            with self._store.reading() as books:
                self._open = {span.node: span for span in books.capacity.open_spans()}
        begun: list[NodeSpan] = []
        ended: list[NodeSpan] = []
        since = self._last_at - self._last_at % MS_PER_SECOND
        offered = {name: _span(node, now) for name, node in list(self._world.nodes.items())}
        for name in sorted({*offered, *self._open}):
            before, after = self._open.get(name), offered.get(name)
            if before is not None and after is not None and before.offers_as(after):
                continue
            has_grown = after is not None and (before is None or after.gpus > before.gpus)
            at = max(since, before.starts_at + 1 if before is not None else 0) if has_grown else now
            if before is not None:
                ended.append(replace(before, ends_at=Instant(at)))
            if after is not None:
                begun.append(replace(after, starts_at=Instant(at)))
        if ended or begun:
            with self._store.writing() as books:
                books.capacity.change(ended=ended, begun=begun)
            for span in ended:
                del self._open[span.node]
            self._open |= {span.node: span for span in begun}
        self._last_at = now  # and not before: what a round could not write began before it
        return len({span.node for span in (*ended, *begun)})


def _span(node: Node, now: Instant) -> NodeSpan:
    return NodeSpan(
        node=node.name,
        gpu_class=node.gpu_class,
        starts_at=now,
        ends_at=None,
        gpus=node.gpus + node.outside_gpus,
        outside_gpus=node.outside_gpus,
        accepts_work=node.accepts_work,
    )
