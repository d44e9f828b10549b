"""CSV that a spreadsheet cannot be harmed by: RFC 4180, and text that would begin a formula made plain text."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula, in its wide form of East Asian keyboards too, or strip before
they look."""


def safe(text: str) -> str:
    """Text as a cell: with an apostrophe before it where it would be a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]], *, rows_a_piece: int = 500) -> Iterator[str]:
    """The header and the rows as text, some hundred rows at a time. Cells are as they should stand there."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if number % rows_a_piece == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
