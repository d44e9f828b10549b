"""Ed25519 by `cryptography`: the company's signing key in a file, and the check of a signature."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from scheduler.domain.errors import InvalidInput


class KeyFile:
    """A Signer whose key is a PEM file (PKCS #8), readable by its owner alone."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def open_key(path: Path) -> KeyFile:
    """The key in that file; a new one where there is none yet. Raises InvalidInput where it is no Ed25519 key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return KeyFile(_read_key(path))
    except OSError as error:
        raise _unusable(path, os.strerror(error.errno or 0)) from error
    key = Ed25519PrivateKey.generate()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return KeyFile(key)


def public_key_pem(public_key: bytes) -> bytes:
    """A public key as a PEM file."""
    return Ed25519PublicKey.from_public_bytes(public_key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


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


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"the key {path} cannot be used: {why}", where="key", expected="an Ed25519 key as PEM")
