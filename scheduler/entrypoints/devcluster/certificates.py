"""A certificate authority for one cluster: serving and client certificates, and the service accounts' key.

All keys are P-256, because making one takes a tenth of a millisecond where RSA takes a second.
"""

import base64
import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=365)
# Clocks of containers and hosts differ by seconds; a certificate from the future would be refused.
_BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs for one cluster, and keeps everything in one folder that only its owner can read."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.crt"

    @classmethod
    def create(cls, directory: Path) -> "Authority":
        directory.mkdir(mode=0o700, parents=True)
        authority = cls(directory)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("allot-dev-cluster-ca")
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(authority.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _write(directory / "ca.key", _private_pem(key))
        return authority

    def issue(self, name: str, *, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> KeyPair:
        """A certificate for user or server `name`; with hosts it can serve, and is a client in any case.

        Kubernetes reads the common name as the user and each organization as a group of theirs.
        """
        pair = KeyPair(self._path(name, "crt"), self._path(name, "key"))
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        # Which key signed it: since 3.13 Python takes no certificate that does not say.
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)
        builder = (
            _builder(_name(name, groups), issuer.subject, key.public_key())
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(signed_by, critical=False)
        )
        if hosts:
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
        signer = serialization.load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        certificate = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False).sign(
            signer, hashes.SHA256()
        )
        _write(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _write(pair.key, _private_pem(key))
        return pair

    def service_account_key(self) -> KeyPair:
        """What signs service accounts' tokens: a bare public key in place of a certificate."""
        pair = KeyPair(self._path("service-accounts", "pub"), self._path("service-accounts", "key"))
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write(pair.certificate, public)
        _write(pair.key, _private_pem(key))
        return pair

    def write_kubeconfig(self, path: Path, server: str, pair: KeyPair, user: str) -> Path:
        """A kubeconfig with everything embedded, so that it can be moved."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "allot-dev",
                    "cluster": {"server": server, "certificate-authority-data": _base64(self.certificate)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _base64(pair.certificate),
                        "client-key-data": _base64(pair.key),
                    },
                }
            ],
            "contexts": [{"name": "allot-dev", "context": {"cluster": "allot-dev", "user": user}}],
            "current-context": "allot-dev",
        }
        _write(path, yaml.safe_dump(document, sort_keys=False).encode())
        return path

    def _path(self, name: str, suffix: str) -> Path:
        # User names such as system:serviceaccount:a:b or ada@example.com are kept readable.
        return self.directory / f"{name.replace('/', '_').replace(':', '_')}.{suffix}"


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common_name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 ("EC PRIVATE KEY"): the one form that every program here reads, the token signer included.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
