"""What pages say of other things is so: labels on Jobs, metrics, the example Job, documents that the code cites.

And pages name no machine or host of ours: only reserved names and public documentation.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.adapters.kubernetes import names
from scheduler.adapters.kubernetes.templates import read_template
from scheduler.adapters.policy_files import check_policy, read_bytes
from scheduler.domain.workloads import WorkloadSpec
from tests.docs.markdown import PAGES, ROOT, fences, named, read

ENGINEERS = ROOT / "docs" / "engineers.md"
EXAMPLE = ROOT / "policies" / "example.yaml"
WRITTEN_BY_USERS = (
    "PROJECT",
    "PRIORITY_CLASS",
    "GPU_CLASSES",
    "TIME_LIMIT",
    "TOPOLOGY",
    "USES_COMPENSATION",
    "CHECKPOINTED_AT",
    "MIN_PODS",
    "CONFIRMED",
)
PUBLIC_HOSTS = {"focus.finops.org", "docs.nvidia.com", "go.dev", "www.rfc-editor.org", "github.com"}
_HOST = re.compile(r"https?://([A-Za-z0-9.-]+)")
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|home|Users|mnt|tmp)/(?!sandbox\b)\S*")
_CITED = re.compile(r"\bdocs/[\w/-]+\.md\b")


def test_every_label_that_a_user_may_write_is_documented_and_none_that_is_not() -> None:
    known = {getattr(names, name) for name in WRITTEN_BY_USERS}
    table = set(re.findall(r"^\| `(allot\.dev/[a-z-]+)` \|", read(ENGINEERS), re.MULTILINE))
    assert table == known


def test_the_example_job_is_taken_in_as_it_stands() -> None:
    policy, problems = check_policy(read_bytes(EXAMPLE), EXAMPLE.name)
    assert policy is not None, problems
    for job in _jobs(ENGINEERS):
        found = read_template(job, list(policy.gpu_classes.values()))
        assert isinstance(found, WorkloadSpec), found
        assert (found.project, found.pod.gpus, found.time_limit_ms) == ("atlas", 8, 4 * 3_600_000)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_metric_that_is_named_is_one(page: Path) -> None:
    metrics = set(re.findall(r"`(allot_\w+)`", read(ROOT / "docs" / "api.md"))) | _metrics_of_agents()
    told = set(re.findall(r"\ballot_[a-z]+(?:_[a-z]+)+\b", read(page)))
    assert told - metrics == set()


def _metrics_of_agents() -> set[str]:
    """By the texts of the module that makes them, some of them behind a common beginning."""
    source = read(ROOT / "scheduler" / "entrypoints" / "agent" / "metrics.py")
    names = {f"allot_agent_{name}" for name in re.findall(r'"([a-z_]+)"', source)}
    counters = {f"allot_agent_{name}_total" for name in re.findall(r'_counter\(\s*"([a-z_]+)"', source)}
    return set(re.findall(r'"(allot_\w+)"', source)) | names | counters


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_a_host_or_a_path_of_ours(page: Path) -> None:
    text = read(page)
    hosts = {host for host in _HOST.findall(text) if not _is_reserved(host)}
    assert hosts - PUBLIC_HOSTS == set()
    assert _MACHINE_PATH.findall(text) == []


def test_every_page_that_the_code_cites_is_there() -> None:
    sources = [path for folder in ("scheduler", "policies", "benchmarks") for path in (ROOT / folder).rglob("*.*")]
    texts = [path.read_text(encoding="utf-8") for path in sources if path.suffix in {".py", ".yaml"}]
    cited = {page for text in texts for page in _CITED.findall(text)}
    assert len(cited) > 5
    assert sorted(page for page in cited if not (ROOT / page).exists()) == []


def _is_reserved(host: str) -> bool:
    """Names that can be nobody's (RFC 2606), this machine, and names inside a cluster."""
    last = host.rpartition(".")[2]
    return host == "127.0.0.1" or host.endswith("example.com") or last in {"example", "svc"} or "." not in host


def _jobs(page: Path) -> list[dict[str, Any]]:
    documents = [yaml.safe_load(fence.text) for fence in fences(read(page)) if fence.language == "yaml"]
    jobs = [document for document in documents if isinstance(document, dict) and document.get("kind") == "Job"]
    assert jobs, "the page shows a Job"
    return jobs
