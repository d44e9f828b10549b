"""Instants as people read them: relative or on the wall clock of the policy's time zone, absolute on hover."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from scheduler.domain.periods import iso, to_datetime, to_instant
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.web.formatting import WRITTEN_INSTANT, roughly

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class Moments:
    """How instants read at `now` in `zone`; `now` is the cluster's, which may be simulated."""

    now: Instant
    zone: ZoneInfo

    def local(self, instant: Instant) -> datetime:
        return to_datetime(instant).astimezone(self.zone)

    def full(self, instant: Instant) -> str:
        """20 Nov 2026, 14:02:11 CET"""
        moment = self.local(instant)
        return f"{self.date(instant)}, {moment:%H:%M:%S} {moment.tzname()}"

    def date(self, instant: Instant) -> str:
        moment = self.local(instant)
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"

    def days(self, starts_at: Instant, ends_at: Instant) -> str:
        """16 Nov 2026 to 22 Nov 2026: the first day of a period and its last, which its end is no more part of."""
        first, last = self.date(starts_at), self.date(Instant(ends_at - 1))
        return first if first == last else f"{first} to {last}"

    def day(self, instant: Instant) -> str:
        moment = self.local(instant)
        return f"{moment.day} {_MONTHS[moment.month - 1]}"

    def month(self, instant: Instant) -> str:
        moment = self.local(instant)
        return f"{_MONTHS[moment.month - 1]} {moment.year}"

    def utc_day(self, instant: Instant) -> str:
        """A day of the books, which are in UTC, by its first instant."""
        moment = to_datetime(instant)
        return f"{moment.day} {_MONTHS[moment.month - 1]}"

    def weekday(self, instant: Instant) -> str:
        """Fri 20 Nov, 14:02"""
        moment = self.local(instant)
        return f"{_DAYS[moment.weekday()]} {self.day(instant)}, {moment:%H:%M}"

    def window(self, starts_at: Instant, ends_at: Instant) -> str:
        """Fri 20 Nov, 14:00 – 18:00; with both days where it goes over midnight."""
        last = self.local(ends_at)
        is_one_day = self.local(starts_at).date() == last.date()
        return f"{self.weekday(starts_at)} – {f'{last:%H:%M}' if is_one_day else self.weekday(ends_at)}"

    def period(self, name: str, starts_at: Instant) -> str:
        """A period by its name: November 2026, week 47 of 2026; any other as it is called."""
        year, _, part = name.partition("-")
        if part.startswith("W"):
            return f"week {part[1:].lstrip('0')} of {year}"
        return (
            f"{_MONTH_NAMES[self.local(starts_at).month - 1]} {year}" if len(part) == 2 and part.isdecimal() else name
        )

    def clock(self, instant: Instant) -> str:
        return f"{self.local(instant):%H:%M:%S}"

    def near(self, instant: Instant) -> str:
        """The shortest that is unmistakable: 16:40 today, Sat 16:40 this week, 28 Nov otherwise."""
        moment, today = self.local(instant), self.local(self.now)
        if moment.date() == today.date():
            return f"{moment:%H:%M}"
        if abs(instant - self.now) < 6 * MS_PER_DAY:
            return f"{_DAYS[moment.weekday()]} {moment:%H:%M}"
        return self.day(instant) if moment.year == today.year else self.date(instant)

    def fell(self, instant: Instant) -> str:
        """When a verdict fell: to the second today, the shortest that is unmistakable before."""
        near = self.near(instant)
        return self.clock(instant) if ":" in near and " " not in near else near

    def told(self, text: str) -> str:
        """A sentence whose instants are as programs read them, with the wall clock's in their stead."""
        return WRITTEN_INSTANT.sub(lambda found: self._dated(to_instant(datetime.fromisoformat(found.group()))), text)

    def _dated(self, instant: Instant) -> str:
        """Fri 20 Nov, 14:02; of another year than this one 20 Nov 2027, 14:02"""
        moment = self.local(instant)
        is_this_year = moment.year == self.local(self.now).year
        return self.weekday(instant) if is_this_year else f"{self.date(instant)}, {moment:%H:%M}"

    def ago(self, instant: Instant) -> str:
        if instant > self.now:
            return f"in {roughly(instant - self.now)}"
        return f"{roughly(self.now - instant)} ago"

    def band(self, earliest: Instant, latest: Instant) -> str:
        """A forecast, never one instant: 28 – 30 Nov, 30 Nov – 2 Dec, today 14:00 – 18:00."""
        first, last = self.local(earliest), self.local(latest)
        if first.date() == last.date():
            day = "today" if first.date() == self.local(self.now).date() else self.day(earliest)
            return f"{day}, {first:%H:%M} – {last:%H:%M}" if f"{first:%H:%M}" != f"{last:%H:%M}" else day
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day} – {self.day(latest)}"
        return f"{self.day(earliest)} – {self.day(latest)}"

    def html(self, text: str, instant: Instant) -> Markup:
        """Text about an instant, with the absolute time on hover and for programs."""
        return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(instant), self.full(instant), text)

    def html_ago(self, instant: Instant) -> Markup:
        return self.html(self.ago(instant), instant)

    def html_fell(self, instant: Instant) -> Markup:
        return self.html(self.fell(instant), instant)

    def html_day(self, instant: Instant) -> Markup:
        return self.html(self.day(instant), instant)

    def html_ago_or_date(self, instant: Instant) -> Markup:
        """Relative within a day, the date before."""
        return self.html_ago(instant) if self.now - instant < MS_PER_DAY else self.html_day(instant)
