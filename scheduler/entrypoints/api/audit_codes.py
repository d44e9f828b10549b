"""Refusal codes of the audit: proofs, periods, reconciliation, tokens. A part of the table in `codes`."""

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.code_text import CodeText

_C = RefusalCode

AUDIT_CODES: dict[RefusalCode, CodeText] = {
    _C.HEADS_UNAVAILABLE: CodeText(
        503,
        "The place of the signed heads cannot be used",
        "The folder or bucket that signed heads are published to does not answer or takes no files.",
        "Mend it; the service publishes what is missing by itself. Until then the newest rows are not anchored.",
    ),
    _C.HEAD_REWRITTEN: CodeText(
        409,
        "A published head would be written over",
        "A signed head of that number lies there already, with another content.",
        "Run `allot audit verify` on the database and the heads: one of the two was changed, or an old copy put back.",
    ),
    _C.UNKNOWN_ROW: CodeText(
        404,
        "There is nothing to prove",
        "The database has no such row, or no published head is over it yet.",
        "See `allot audit verify` for what is anchored; `allot audit head` publishes a head now.",
    ),
}
