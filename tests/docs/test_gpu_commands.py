"""The commands of docs/gpu.md work as they are written there, on a small company without a cluster."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from scheduler.domain.units import MS_PER_HOUR, Instant
from tests.docs.markdown import ROOT, read, spans
from tests.entrypoints.cli.conftest import command_for
from tests.entrypoints.company import small_company
from tests.entrypoints.serving import served

PAGE = ROOT / "docs" / "gpu.md"
RECORDED = """timestamp,gpu_uuid,utilization_percent,power_watts
2026-11-20T12:00:00Z,GPU-a,0,70
2026-11-20T12:01:00Z,GPU-a,0,70
2026-11-20T12:02:00Z,GPU-a,0,70
"""
NAMED_ALONE = {"allot extend", "allot explain", "allot keep", "allot pause reclaim"}
"""The page names these; what they need besides they tell whoever types them."""
ELSEWHERE = ("--prometheus", "allot serve")
"""What these need is not here; tests/entrypoints/cli/test_gpu_prometheus.py has a Prometheus."""


def test_every_command_of_the_page_works_as_it_stands_there(tmp_path: Path) -> None:
    samples, policy = tmp_path / "recorded.csv", ROOT / "policies" / "example.yaml"
    samples.write_text(RECORDED, encoding="utf-8")
    service = small_company()
    now = service.clock.now()
    service.census.run(now)
    service.clock.at = Instant(now + MS_PER_HOUR)  # type: ignore[attr-defined]  # a clock that a test moves
    with served(service, with_loops=False) as address:
        allot = command_for(address, tmp_path)
        submitted = ("submit", "-p", "atlas", "-c", "H100", "-t", "1h", "--image", "registry.example.com/train:1")
        workload = allot(*submitted, "--name", "train", "--json").json["id"]
        told = {"WORKLOAD": workload, "NODE": "node-0", "NAME": "sandboxes"}
        told |= {"--samples FILE": f"--samples {samples}", "--policy FILE": f"--policy {policy}"}
        typed = {line: allot(*_words(line, told), who=_who(line)) for line in _commands(read(PAGE))}
    assert {line: ran.err for line, ran in typed.items() if ran.code} == {}
    assert len(typed) >= 12


def _commands(page: str) -> Iterator[str]:
    """Each once: what stands in brackets is typed too, and left out."""
    for span in spans(page):
        if span.startswith("allot ") and span not in NAMED_ALONE and not any(part in span for part in ELSEWHERE):
            yield re.sub(r" \[[^]]*\]", "", span)
            yield span.replace("[", "").replace("]", "")


def _words(line: str, told: dict[str, str]) -> list[str]:
    for there, here in told.items():
        line = re.sub(rf"\b{there}\b" if there.isupper() else re.escape(there), here, line)
    return shlex.split(line)[1:]


def _who(line: str) -> str:
    """An owner keeps their own work; the rest is an operator's."""
    return "ada" if line.startswith("allot keep") else "olga"
