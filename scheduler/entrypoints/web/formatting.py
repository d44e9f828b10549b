"""Numbers, hours and durations as people read them. Integers in, text out: nothing is added up here.

Hours carry one decimal, thousands a narrow no-break space, units a lighter shade.
"""

import re

from markupsafe import Markup, escape

from scheduler.domain.hours import nearest_tenths
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND
from scheduler.domain.wording import THIN_SPACE, agreeing

MINUS = "\u2212"
DASH = "–"

WRITTEN_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
"""An instant as programs read it, within a sentence."""
_TYPED = re.compile(r"`([^`]+)`")


def grouped(number: int) -> str:
    """A whole number with thin spaces in its thousands."""
    text = f"{abs(number):,}".replace(",", THIN_SPACE)
    return MINUS + text if number < 0 else text


def hours(amount_ms: int) -> str:
    """(Standard) GPU-milliseconds as hours with one decimal, rounded half away from zero."""
    tenths = nearest_tenths(amount_ms)
    text = f"{grouped(tenths // 10)}.{tenths % 10}"
    return MINUS + text if amount_ms < 0 and tenths else text


def signed_hours(amount_ms: int) -> str:
    """Hours with their sign, as a statement shows a posting."""
    return hours(amount_ms) if amount_ms <= 0 else f"+{hours(amount_ms)}"


def money(micro: int) -> str:
    """Micro-units with two decimals, rounded half away from zero; the currency stands beside it."""
    cents = (abs(micro) + 5_000) // 10_000
    text = f"{grouped(cents // 100)}.{cents % 100:02d}"
    return MINUS + text if micro < 0 and cents else text


def with_unit(number: str, unit: str) -> Markup:
    """A number with its unit beside it in a lighter shade."""
    return Markup('{}<span class="unit">{}{}</span>').format(number, THIN_SPACE, unit)


def hours_with_unit(amount_ms: int) -> Markup:
    return with_unit(hours(amount_ms), "h")


def percent(part: int, whole: int) -> str:
    """A share in percent with one decimal; a dash where there is no whole to have a share of."""
    if whole <= 0:
        return DASH
    tenths = (part * 1000 + whole // 2) // whole
    return f"{tenths // 10}.{tenths % 10}"


def in_percent(ratio_per_mille: int | None) -> str:
    """A ratio with its unit; a dash where there is none."""
    return DASH if ratio_per_mille is None else f"{ratio_per_mille / 10:.1f} %"


def per_mille(factor: int) -> str:
    """A weight or factor in per mille as a plain multiple: 1000 is 1, 1500 is 1.5."""
    return f"{factor / 1000:g}"


def multiplied_per_mille(weight: int, factor: int) -> str:
    """Two factors in per mille as the multiple they make together: what an hour costs."""
    return f"{weight * factor / 1_000_000:g}"


def duration(length_ms: int) -> str:
    """A span in its two largest units: 3 h 12 min, 22 min, 45 s."""
    length = max(0, length_ms)
    days, rest = divmod(length, MS_PER_DAY)
    whole_hours, rest = divmod(rest, MS_PER_HOUR)
    minutes, rest = divmod(rest, MS_PER_MINUTE)
    if days:
        return _two(days, "d", whole_hours, "h")
    if whole_hours:
        return _two(whole_hours, "h", minutes, "min")
    if minutes:
        return f"{minutes} min"
    return f"{rest // MS_PER_SECOND} s"


def roughly(length_ms: int) -> str:
    """A span in its largest unit alone: 3 h, 22 min, 45 s."""
    return " ".join(duration(length_ms).split(" ")[:2])


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def stopwatch(length_ms: int) -> str:
    """A running time as h:mm."""
    minutes = max(0, length_ms) // MS_PER_MINUTE
    return f"{grouped(minutes // 60)}:{minutes % 60:02d}"


def gibibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 GPU`, `12 GPUs`."""
    return f"{grouped(number)} {agreeing(number, noun, plural or f'{noun}s')}"


_SERVICE = "system:bootstrap"


def by_whom(actor: str) -> str:
    """`by Ada`; what the service applied itself came with its first start."""
    return "at the first start" if actor == _SERVICE else f"by {actor}"


def who(actor: str) -> str:
    """`Ada`, in a table: what the service did itself it did when it started."""
    return "service start" if actor == _SERVICE else actor


def words_of(code: str) -> str:
    """A CamelCase code as words: `EngineerGpuLimit` is `Engineer GPU limit`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in code).strip()
    return (words[:1].upper() + words[1:]).replace("gpu", "GPU")


def prose(text: str) -> Markup:
    """Text of ours in which `backticks` mark what is typed; everything else is escaped."""
    pieces = _TYPED.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if position % 2 else escape(piece)
        for position, piece in enumerate(pieces)
    )


def sentence_of(text: str) -> Markup:
    """A message as a sentence: a capital at its start, a full stop at its end."""
    return (
        prose(text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")) if text else Markup("")
    )
