"""Strangers: processes that were seen of late on GPUs that were not theirs, told of or not yet."""

import threading
from collections.abc import Mapping

from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.metering.misuse import Misuse, MisuseKey, is_worth_telling

KEPT_MS = 10 * MS_PER_MINUTE
"""Who was not seen for so long is forgotten here: what was told of them is in the books."""


class Strangers:
    """Safe from several threads. Lost with the process: whoever is still there is seen again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[MisuseKey, Misuse] = {}

    def get(self, key: MisuseKey) -> Misuse | None:
        return self._seen.get(key)

    def put(self, seen: Mapping[MisuseKey, Misuse], now: Instant) -> list[Misuse]:
        """Returns those that are misuse beyond doubt from now on."""
        with self._lock:
            kept = {key: each for key, each in self._seen.items() if each.last_at >= now - KEPT_MS}
            self._seen = {**kept, **seen}
        told = (key for key, each in kept.items() if is_worth_telling(each))
        new = seen.keys() - set(told)
        return [seen[key] for key in sorted(new) if is_worth_telling(seen[key])]

    def told(self, now: Instant) -> list[Misuse]:
        """Those of late that are misuse beyond doubt."""
        return [e for e in self._seen.values() if e.last_at >= now - KEPT_MS and is_worth_telling(e)]
