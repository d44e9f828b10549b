"""Rotation of the signing key: the key that goes signs the one that comes, so that whoever knows the old follows to it.

An endorsement is the old key's signature over both keys. A chain of them leads from a key that a verifier knows to the
one that signed what is verified, however many came between.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

FORMAT = "allot-key/1"
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64

IsSigned = Callable[[bytes, bytes, bytes], bool]
"""Whether (public key, signature, message) is a valid Ed25519 signature; never raises."""


@dataclass(frozen=True, slots=True)
class Endorsement:
    """`old` vouches for `new`. All in hex."""

    old: str
    new: str
    signature: str

    def fields(self) -> dict[str, str]:
        return {"old": self.old, "new": self.new, "signature": self.signature}

    def holds(self, is_signed: IsSigned) -> bool:
        message = endorsing_message(self.old, self.new)
        return is_signed(bytes.fromhex(self.old), bytes.fromhex(self.signature), message)


def endorsing_message(old: str, new: str) -> bytes:
    """What the old key signs: JSON with sorted keys and without blanks."""
    return json.dumps({"format": FORMAT, "new": new, "old": old}, sort_keys=True, separators=(",", ":")).encode()


def parse_endorsements(found: object) -> tuple[Endorsement, ...]:
    """From parsed JSON, a list of objects. Raises ValueError for everything else."""
    if not isinstance(found, list) or not all(isinstance(each, dict) and len(each) == 3 for each in found):
        raise ValueError("expected a list of endorsements")
    return tuple(
        Endorsement(
            _hex(each.get("old"), _KEY_BYTES),
            _hex(each.get("new"), _KEY_BYTES),
            _hex(each.get("signature"), _SIGNATURE_BYTES),
        )
        for each in found
    )


def leading(known: str, to: str, endorsements: Iterable[Endorsement]) -> Sequence[Endorsement] | None:
    """Those that lead from the one key to the other, in order; none where the keys are the same. None: there is no way.

    Whether their signatures hold is another question: `leads`.
    """
    by_old = {each.old: each for each in endorsements}
    way: list[Endorsement] = []
    while known != to:
        step = by_old.pop(known, None)
        if step is None:
            return None
        way.append(step)
        known = step.new
    return way


def leads(known: str, to: str, endorsements: Iterable[Endorsement], is_signed: IsSigned) -> bool:
    """Whether who trusts the one key may trust the other."""
    way = leading(known, to, endorsements)
    return way is not None and all(step.holds(is_signed) for step in way)


def _hex(value: object, length: int) -> str:
    if not isinstance(value, str) or len(value) != 2 * length or bytes.fromhex(value).hex() != value:
        raise ValueError(f"expected {length} bytes in hex")
    return value
