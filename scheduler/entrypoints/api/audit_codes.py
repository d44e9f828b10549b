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
    _C.KEY_NOT_ENDORSED: CodeText(
        409,
        "The signing key is not endorsed",
        "Heads were signed with another key so far, and that one has not endorsed this: nobody could follow to it.",
        "Run `allot audit rotate-key` with the old key, or put the old key back.",
    ),
    _C.UNKNOWN_ROW: CodeText(
        404,
        "There is nothing to prove",
        "The database has no such row, or no published head is over it yet.",
        "See `allot audit verify` for what is anchored; `allot audit head` publishes a head now.",
    ),
    _C.PERIOD_CLOSED: CodeText(
        409,
        "The period is closed",
        "A posting, or a second close, is dated inside a period that was closed. What was closed stays as it is.",
        "Post the correction in the open period.",
    ),
    _C.PERIOD_NOT_OVER: CodeText(
        409,
        "The period is not over",
        "A period is closed after its end, when everything that ran in it is charged.",
        "Wait for its end.",
    ),
    _C.PERIOD_UNRECONCILED: CodeText(
        409,
        "Differences are left",
        "Charges, pods and devices do not agree in that period, and a difference has neither owner nor write-off.",
        "Look with `allot reconcile --period P`; then `allot period assign` or `allot period write-off`.",
    ),
    _C.UNKNOWN_PERIOD: CodeText(
        404,
        "There is no such period",
        "No close of a period of that name was ever begun.",
        "`allot period list` shows those that are.",
    ),
    _C.UNKNOWN_DIFFERENCE: CodeText(
        404,
        "There is no such difference",
        "The reconciliation of that period finds no difference of that id.",
        "`allot reconcile --period P` shows those that it finds.",
    ),
    _C.UNKNOWN_TOKEN: CodeText(
        404,
        "There is no such token",
        "No valid token has an id that begins so.",
        "`allot token list` shows them.",
    ),
}
