"""Courses over time: what an amount was in the mean, bin by bin, added up from intervals."""

from itertools import accumulate

from scheduler.domain.units import Instant


class Series:
    """Σ amount × time in each of `bins` bins of `bin_ms` from `starts_at` on. What lies outside of it, or after
    `ends_at`, is cut off."""

    def __init__(self, starts_at: Instant, ends_at: Instant, bin_ms: int, bins: int) -> None:
        self.starts_at, self.bin_ms, self.bins = starts_at, bin_ms, bins
        self._length = min(ends_at - starts_at, bins * bin_ms)
        self._partial = [0] * bins
        self._steps = [0] * (bins + 1)

    def add(self, start: Instant, end: Instant, amount: int) -> None:
        """The amount lasted for [start, end)."""
        first = max(0, start - self.starts_at)
        last = min(end - self.starts_at, self._length)
        if last <= first:
            return
        from_bin, to_bin = first // self.bin_ms, last // self.bin_ms
        if from_bin == to_bin:
            self._partial[from_bin] += (last - first) * amount
            return
        self._partial[from_bin] += ((from_bin + 1) * self.bin_ms - first) * amount
        if to_bin < self.bins:
            self._partial[to_bin] += (last - to_bin * self.bin_ms) * amount
        self._steps[from_bin + 1] += amount
        self._steps[to_bin] -= amount

    def sums(self) -> list[int]:
        """Amount × milliseconds, by bin."""
        whole = accumulate(self._steps[: self.bins])
        return [part + level * self.bin_ms for part, level in zip(self._partial, whole, strict=True)]
