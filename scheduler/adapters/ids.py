"""New ids from the operating system's randomness."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no letter that reads as a digit, and fit for a Kubernetes name."""
_LENGTH = 12
_LETTER_OF_BYTE = bytes(ord(_ALPHABET[byte % 32]) for byte in range(256))
"""32 divides 256: each letter is as likely as another."""


class RandomIds:
    """Sixty bits each: two of a million ids meet with a chance of one in two million."""

    def new(self, prefix: str) -> str:
        return f"{prefix}-{secrets.token_bytes(_LENGTH).translate(_LETTER_OF_BYTE).decode()}"
