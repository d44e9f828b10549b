"""Settings: what a process is told from outside, by environment (`ALLOT_…`) or by the command line."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

EXAMPLES = Path(__file__).parents[2] / "policies"
"""The example policies of a source checkout or an image."""


class ClusterKind(StrEnum):
    SIMULATED = "simulated"
    KUBERNETES = "kubernetes"


class SensorsKind(StrEnum):
    AGENTS = "agents"
    PROMETHEUS = "prometheus"


class Settings(BaseSettings):
    """Every setting is described in docs/settings.md; a test compares."""

    model_config = SettingsConfigDict(env_prefix="ALLOT_", extra="ignore")

    database: str = Field(
        "sqlite:///var/allot.db", description="Where the books are: sqlite:///FILE or postgresql://…"
    )
    cluster: ClusterKind = Field(ClusterKind.SIMULATED, description="simulated, or kubernetes")
    kubeconfig: str | None = Field(None, description="The kubeconfig; by default KUBECONFIG, then in-cluster")
    context: str | None = Field(None, description="The kubeconfig's context; by default its current one")
    namespace: str = Field("allot", description="Where Jobs of workloads that came through the API are created")
    namespaces: tuple[str, ...] | None = Field(
        None, description="Managed namespaces; by default those labelled allot.dev/managed=true"
    )
    observe: bool = Field(False, description="Only report what would be launched, preempted and reclaimed")
    sensors: SensorsKind = Field(
        SensorsKind.AGENTS,
        description="Who reads the GPUs: agents, or prometheus where dcgm-exporter's metrics are kept",
    )
    prometheus: str | None = Field(None, description="The address of that Prometheus")
    prometheus_scrape_seconds: int = Field(
        30, description="How often it scrapes dcgm-exporter; a pause of 2.5 times is a gap", ge=1, le=300
    )
    prometheus_token_file: Path | None = Field(
        None, description="A bearer token that it asks for, read anew each time"
    )
    notify: str | None = Field(
        None, description="An address that is POSTed warnings, ends of idle work, misuse, and jumps of use, as JSON"
    )
    host: str = Field("127.0.0.1", description="The address to listen on")
    port: int = Field(8410, description="The port to listen on")
    policy: Path | None = Field(None, description="A policy to apply at the first start")
    prices: Path | None = Field(None, description="A price book to apply at the first start")
    people: Path | None = Field(None, description="A people directory to apply at the first start")
    bootstrap_token: str | None = Field(
        None, description="A token with the roles operator and auditor, made at start"
    )
    bootstrap_subject: str = Field("operator", description="Whom that token is for", min_length=1, max_length=128)
    heads: str | None = Field(
        None,
        description="Where signed heads are put: a folder, a bucket (`s3://…`), or several with a comma between; by "
        "default `FILE.heads` beside a SQLite file",
    )
    signing_key: Path | None = Field(
        None,
        description="The Ed25519 key (PEM) that signs; by default `FILE.key` beside a SQLite file or the heads",
    )
    head_seconds: int = Field(3600, description="How often a head is signed, by the service's clock", ge=1)
    factor: int = Field(60, description="Simulated seconds per real second", ge=1, le=10_000)
    seed: int = Field(1, description="Seed of the simulated stream of work")
    stream: bool = Field(True, description="Whether the simulated company submits work of its own")
    demo_sign_in: bool = Field(False, description="Let a visitor of a simulated cluster pick who to be")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @property
    def period_seconds(self) -> float:
        """Real seconds between rounds of the loops that keep attempts funded: a simulated minute, or half a real one."""
        return max(1.0, 60 / self.factor) if self.cluster is ClusterKind.SIMULATED else 30.0
