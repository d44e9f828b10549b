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
        "Between two rates of a GPU class and pool, two tariffs, or two entries of hardware there are hours without; or a "
        "book that has electricity, or hardware of a class, lacks it in an hour that it prices and that is not closed.",
        "Let each begin on the day on which the one before ends, the first with the prices; what is written off costs 0.",
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
    _C.NO_CLASS_PRICED: CodeText(
        422,
        "The price book prices none of our GPU classes",
        "The price file has rates, and none is of a GPU class of the policy: no hour could be valued by it.",
        "Write `gpu_class` as the policy does, or apply the file that was meant: the prices in force stay as they are.",
    ),
    _C.UNKNOWN_OWNER: CodeText(
        404,
        "Nobody has such books",
        "A statement is of an engineer (by id or subject), of a team or project of the policy, or of `company`. A "
        "difference belongs to a person, a team, a project, or `platform`.",
        "Check the spelling; `team:NAME` and `project:NAME` say which of the two is meant.",
    ),
    _C.INVALID_SCHEDULE: CodeText(
        422,
        "Not a vesting schedule",
        "A schedule has monthly or quarterly steps, a cliff within it, and parts above zero in the order of time.",
        "Mend the term that the message names.",
    ),
    _C.SCHEDULE_SUM: CodeText(
        422,
        "The parts are not the amount",
        "A schedule that is given by its parts must sum to the amount exactly; nothing is rounded to make it fit.",
        "Give parts that sum to the amount, or leave them out and state months and cliff.",
    ),
    _C.EXPIRY_BEFORE_GRANT: CodeText(
        422,
        "It would expire before it is granted",
        "The expiry lies before the start of the allowance, before its last part vests, or in the past.",
        "Give a later expiry, or none.",
    ),
    _C.UNKNOWN_UNIT: CodeText(
        422,
        "There is no such unit",
        "An allowance is in standard GPU-hours, hours of one GPU class, tokens, or money of the price book's currency.",
        "Name the unit as `standard`, `gpu/CLASS`, `tokens`, `tokens/MODEL` or a currency such as `EUR`.",
    ),
    _C.UNIT_MISMATCH: CodeText(
        409,
        "The units differ",
        "Hours, hours of a class, tokens and money are never exchanged for one another between allowances.",
        "Choose an allowance of the same unit, or leave it out: then one is made.",
    ),
    _C.TRANSFER_TO_SELF: CodeText(
        422,
        "From and to are the same",
        "A transfer moves hours from one holder to another.",
        "Name somebody else.",
    ),
    _C.TRANSFER_NOT_ALLOWED: CodeText(
        403,
        "The policy does not allow this transfer",
        "Transfers are between engineers of one team, donations to a team or project, both where the giver's tier allows "
        "them; compensation is never passed on, and hours never go where they would buy more, or for longer.",
        "Leave out `into`; ask an operator for the tier's `may_transfer` or `may_donate`, or finance for a grant.",
    ),
    _C.UNKNOWN_HOLD: CodeText(
        404,
        "There is no such hold of tokens",
        "No hold goes by that id, or another gateway made it.",
        "Take the id from the answer of `POST /v1/token-holds`.",
    ),
    _C.HOLD_EXCEEDED: CodeText(
        422,
        "More tokens than are held",
        "A charge names all that the answer took so far, and that is more than was set aside for it.",
        "Hold the most that an answer may take; for what is beyond, hold again.",
    ),
    _C.UNKNOWN_ALLOWANCE: CodeText(
        404,
        "There is no such allowance",
        "No allowance goes by that id, or it is not one that this can be done to.",
        "Take the id from `allot balance --json` or `allot vesting list`.",
    ),
}
