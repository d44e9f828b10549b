"""A statement to take away: signed with the company's key (Ed25519), verified offline by anyone who has its public half.

The file is JSON with sorted keys and without blanks; the signature is over the same without `signature`. Nothing in it
can be changed, and no statement be put together from two. After a rotation of the key it carries the endorsements: who
knows an older key of the company's follows them.
"""

import json
from dataclasses import dataclass
from typing import Any

from scheduler.domain.periods import iso
from scheduler.domain.units import Instant
from scheduler.finance.proving.endorsement import IsSigned, leads, parse_endorsements
from scheduler.finance.proving.ports import Signer

FORMAT = "allot-statement/1"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verifier may rely on: `statement` is None unless it `holds`. `is_pinned`: by a key known from elsewhere."""

    holds: bool
    detail: str
    key: str = ""
    is_pinned: bool = False
    issued_at: str = ""
    statement: dict[str, Any] | None = None


def sign_statement(statement: dict[str, Any], signer: Signer, at: Instant) -> str:
    """The file's text. `statement` as it was rendered: numbers, text, lists and objects."""
    signed: dict[str, object] = {
        "format": FORMAT,
        "issued_at": iso(at),
        "key": signer.public_key.hex(),
        "statement": statement,
    }
    if signer.endorsements:
        signed["endorsements"] = [each.fields() for each in signer.endorsements]
    return signed_text({**signed, "signature": signer.sign(_compact(signed).encode()).hex()})


def signed_text(signed: dict[str, Any]) -> str:
    """A signed statement as its file has it."""
    return _compact(signed) + "\n"


def verify_statement(text: str, is_signed: IsSigned, trusted: bytes | None) -> Verified:
    """Whether the file is as it was signed, by `trusted` where that is given. Never raises for what is in it."""
    try:
        found = json.loads(text, object_pairs_hook=once)
        if found["format"] != FORMAT:
            return Verified(False, f"it is no {FORMAT}")
        key, signature = bytes.fromhex(found["key"]), bytes.fromhex(found.pop("signature"))
        statement, issued_at = dict(found["statement"]), str(found["issued_at"])
        endorsements = parse_endorsements(found.get("endorsements", []))
        message = _compact(found).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Verified(False, f"it is no signed statement: {type(error).__name__}")
    if trusted is not None and not leads(trusted.hex(), key.hex(), endorsements, is_signed):
        return Verified(False, "it was signed with another key than the company's", key.hex())
    if not is_signed(key, signature, message):
        return Verified(False, "the signature is not that of its content: it was changed", key.hex())
    return Verified(True, "the statement is as it was signed", key.hex(), trusted is not None, issued_at, statement)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand there once. Of two, readers take either: what is shown is not what was signed. Raises
    ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
