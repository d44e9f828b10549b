"""Ed25519 by `cryptography`: the company's signing key in a file, its rotation, and the check of a signature."""

import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from scheduler.domain.errors import Conflict, InvalidInput
from scheduler.finance.proving.endorsement import Endorsement, endorsing_message, parse_endorsements


class KeyFile:
    """A Signer whose key is a PEM file (PKCS #8), readable by its owner alone."""

    def __init__(self, key: Ed25519PrivateKey, endorsements: tuple[Endorsement, ...] = ()) -> None:
        self._key = key
        self._endorsements = endorsements

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def endorsements(self) -> tuple[Endorsement, ...]:
        return self._endorsements

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def open_key(path: Path) -> KeyFile:
    """The key in that file, with what endorses it (`FILE.endorsed`); a new one where there is none yet.

    Raises InvalidInput where it is no Ed25519 key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return KeyFile(_read_key(path), _read_endorsements(path))
    except OSError as error:
        raise _unusable(path, os.strerror(error.errno or 0)) from error
    key = Ed25519PrivateKey.generate()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return KeyFile(key)


def rotate(old: Path, new: Path) -> KeyFile:
    """A new key in the file `new`, endorsed by the one in `old`, beside it as `NEW.endorsed`.

    A key that is there already is endorsed, not made anew. Raises InvalidInput; Conflict where it has an endorsement.
    """
    going = KeyFile(_read_key(old), _read_endorsements(old))
    if _endorsed_file(new).exists():
        raise Conflict(f"{new} is endorsed already", expected="the file of a key that is new")
    coming = open_key(new)
    old_key, new_key = going.public_key.hex(), coming.public_key.hex()
    if old_key == new_key:
        raise InvalidInput("that is the key that is to go", where="NEW", expected="the file of another key")
    made = Endorsement(old_key, new_key, going.sign(endorsing_message(old_key, new_key)).hex())
    endorsements = (*going.endorsements, made)
    text = json.dumps([each.fields() for each in endorsements], indent=2)
    try:
        with _endorsed_file(new).open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise _unusable(_endorsed_file(new), os.strerror(error.errno or 0)) from error
    return KeyFile(_read_key(new), endorsements)


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of the public key in that PEM file. Raises InvalidInput."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise _unusable(path, os.strerror(error.errno or 0)) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "it is no PEM file of a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(path, "it is a key of another kind")
    return key.public_bytes_raw()


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is that key's over the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unusable(path, os.strerror(error.errno or 0)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "it is no PEM file of a private key without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "it is a key of another kind")
    return key


def _endorsed_file(key: Path) -> Path:
    return key.with_name(f"{key.name}.endorsed")


def _read_endorsements(key: Path) -> tuple[Endorsement, ...]:
    file = _endorsed_file(key)
    try:
        return parse_endorsements(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(file, os.strerror(error.errno or 0)) from error
    except ValueError as error:
        raise _unusable(file, f"it holds no endorsements: {error}") from error


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"the key {path} cannot be used: {why}", where="key", expected="an Ed25519 key as PEM")
