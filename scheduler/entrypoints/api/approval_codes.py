"""Refusal codes of approvals and coverage. A part of the table in `codes`."""

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.code_text import CodeText

_C = RefusalCode

APPROVAL_CODES: dict[RefusalCode, CodeText] = {
    _C.OWN_REQUEST: CodeText(
        403,
        "Nobody approves their own request",
        "Whoever asked for a change, or proposed a grant, a policy or prices, is not the second person that it needs.",
        "Ask another person with the right to it; `allot approvals list` shows what waits.",
    ),
    _C.SELF_BENEFIT: CodeText(
        403,
        "Nobody approves what benefits themselves",
        "The hours, tier, team or project that it raises are the approver's own; a request goes beyond the policy that "
        "the approver applied; a token or people file gives the one who issues or applies it what they have not; or hours "
        "would be granted, passed on or unfrozen by whose they are.",
        "Ask another person with the right to it.",
    ),
    _C.APPROVAL_NEEDED: CodeText(
        409,
        "A second person must approve it",
        "Unless policy says `one-person`, what raises allowances, prices or rights takes effect when another person "
        "approves its hash.",
        "Propose it as usual, and have somebody else run `allot approvals approve HASH`.",
    ),
    _C.UNKNOWN_PROPOSAL: CodeText(
        404,
        "There is no such proposal",
        "No proposal or request has this id, or none that waits has a hash that begins so.",
        "See `allot approvals list`, or `allot request list` for your own.",
    ),
    _C.COVERAGE_EXCEEDED: CodeText(
        409,
        "More would be promised than can be delivered",
        "With it, the hours that are outstanding and promised on a GPU class in a period exceed what its GPUs deliver by "
        "more than policy allows.",
        "See `allot coverage`; grant less, or for later, or add capacity.",
    ),
}
