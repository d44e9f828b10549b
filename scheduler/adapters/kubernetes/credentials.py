"""Where the cluster is and who we are there: from a kubeconfig or the pod's own service account.

The official client reads both (contexts, exec plugins, token refresh); nothing else of it is used.
"""

import asyncio
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509
from kubernetes.client.configuration import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, load_incluster_config
from kubernetes.config.kube_config import load_kube_config

from scheduler.domain.errors import RefusalCode, Unavailable

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"


class Credentials:
    """One identity on one apiserver. The bearer token is asked for anew as often as its source renews it."""

    def __init__(self, configuration: Any, source: str) -> None:
        self._configuration = configuration
        self.source = source
        self.server: str = configuration.host.rstrip("/")
        self.proxy: str | None = configuration.proxy or None
        self.server_hostname: str | None = configuration.tls_server_name or None

    async def authorization(self) -> str | None:
        """The Authorization header's value, or None where a client certificate says who we are.

        A refresh may read a file or run a plugin, so it is done beside the event loop.
        Raises Unavailable where the plugin or the file fails.
        """
        if self._configuration.refresh_api_key_hook is None:
            return None
        try:
            token = await asyncio.to_thread(self._configuration.get_api_key_with_prefix, "BearerToken")
        except (ConfigException, OSError, ValueError) as error:
            raise _invalid(self.source, f"its token cannot be renewed: {_line(error)}") from error
        return str(token) if token else None

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context; None for plain http. Raises Unavailable for an unreadable or expired certificate."""
        if not self.server.startswith("https"):
            return None
        configuration = self._configuration
        try:
            context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
            # As kubectl has it, and Python until 3.13: authorities of older clusters sign certificates that do not say by
            # which key, which nothing but the strict reading of RFC 5280 asks for. Who signed is checked as before.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if configuration.cert_file:
                _require_unexpired(self.source, Path(configuration.cert_file))
                context.load_cert_chain(configuration.cert_file, configuration.key_file)
        except (OSError, ValueError) as error:
            raise _invalid(self.source, f"its certificates cannot be read: {_line(error)}") from error
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def load_credentials(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """From the named kubeconfig; else $KUBECONFIG; else, in a pod, its service account; else ~/.kube/config.

    Raises Unavailable (`kubeconfig-missing`, `kubeconfig-invalid`) with one line that says which file and what of it.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG") or None
    if named is None and SERVICE_HOST_ENV_NAME in os.environ:
        return _of_service_account()
    return _of_kubeconfig(named or str(Path(_DEFAULT_KUBECONFIG).expanduser()), context)


def _of_service_account() -> Credentials:
    configuration = Configuration()
    source = "the pod's service account"
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # client untyped
    except (ConfigException, OSError) as error:
        raise _invalid(source, _line(error)) from error
    return Credentials(configuration, source)


def _of_kubeconfig(paths: str, context: str | None) -> Credentials:
    files = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    if not any(file.is_file() for file in files):
        raise Unavailable(
            f"there is no kubeconfig at {paths}",
            code=RefusalCode.KUBECONFIG_MISSING,
            remedy="set KUBECONFIG or --kubeconfig to the file that your cluster's admin gave you",
        )
    configuration = Configuration()
    source = f"kubeconfig {paths}"
    try:
        load_kube_config(  # type: ignore[no-untyped-call]  # the official client has no types
            config_file=paths, context=context, client_configuration=configuration, persist_config=False
        )
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _invalid(source, _line(error)) from error
    if not str(configuration.host).startswith(("http://", "https://")):
        raise _invalid(source, f"its server is {configuration.host!r}, which is no http(s) address")
    _require_identity(source, configuration)
    return Credentials(configuration, source)


def _require_identity(source: str, configuration: Any) -> None:
    """The client only logs that an exec plugin failed, and would go on as anonymous."""
    has_identity = configuration.cert_file or configuration.api_key.get("BearerToken")
    if configuration.host.startswith("https") and not has_identity:
        raise _invalid(source, "it yields no token and no client certificate (does its exec plugin work?)")


def _require_unexpired(source: str, file: Path) -> None:
    expires_at = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    if expires_at <= datetime.now(UTC):
        raise _invalid(source, f"its client certificate expired on {expires_at:%Y-%m-%d %H:%M} UTC")


def _invalid(source: str, cause: str) -> Unavailable:
    return Unavailable(
        f"{source} cannot be used: {cause}",
        code=RefusalCode.KUBECONFIG_INVALID,
        remedy="get a fresh one from your cluster's admin; `kubectl version` with it shows whether it works",
    )


def _line(error: Exception) -> str:
    """An error as one line: parsers answer in many."""
    return " ".join(str(error).split()) or type(error).__name__
