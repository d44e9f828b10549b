"""Refusal codes of money: prices, statements and exports. A part of the table in `codes`."""

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.code_text import CodeText

_C = RefusalCode

MONEY_CODES: dict[RefusalCode, CodeText] = {
    _C.INVALID_PRICES: CodeText(
        422,
        "The price file is not valid",
        "The file is no YAML, or has an unknown key, a value that is none, or a day before another; each with its line.",
        "Mend the file, and try it with `allot prices check FILE` before applying it.",
    ),
    _C.UNKNOWN_CURRENCY: CodeText(
        422,
        "There is no such currency",
        "Money is in a national currency by its ISO 4217 code, such as EUR or USD.",
        "Name the currency that the books are kept in.",
    ),
    _C.PRICE_GAP: CodeText(
        422,
        "The prices leave a gap",
        "Between two rates of a GPU class and pool, two tariffs, or two entries of hardware there are hours without.",
        "Let each begin on the day on which the one before ends.",
    ),
    _C.PRICE_OVERLAP: CodeText(
        422,
        "Two prices hold at once",
        "Two rates of a GPU class and pool, two tariffs, or two entries of hardware hold at the same hours.",
        "Let each begin on the day on which the one before ends.",
    ),
    _C.PRICE_MISSING: CodeText(
        409,
        "There is no price for an hour",
        "The price book has no price for an hour that is to be valued; the first such hour is named.",
        "Add the price with `allot prices apply FILE`, and ask again: nothing was written.",
    ),
    _C.RATE_CLOSED: CodeText(
        409,
        "The prices of a closed period do not change",
        "The price file has another price for an hour of a period that was closed; the first such hour is named.",
        "Leave the prices of closed periods as they were, or apply it with `--correct`: the difference is posted in the "
        "open period.",
    ),
    _C.NO_PRICES: CodeText(
        409,
        "There is no price book yet",
        "What was asked for is money, and no price book was applied.",
        "Finance applies one with `allot prices apply FILE`.",
    ),
    _C.UNKNOWN_OWNER: CodeText(
        404,
        "Nobody has such books",
        "A statement is of an engineer (by id or subject), of a team or project of the policy, or of `company`.",
        "Check the spelling; `team:NAME` and `project:NAME` say which of the two is meant.",
    ),
}
