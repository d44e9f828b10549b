"""Each loop of a running service: its deadline and last success in /healthz, its metrics in /metrics."""

from typing import Any

import httpx

from tests.entrypoints.company import small_company
from tests.entrypoints.serving import served
from tests.plugins.polling import eventually

PERIODIC = {"grant", "keep", "faults", "reclaim", "census", "prune"}
METRICS = ("last_success_timestamp_seconds", "last_run_seconds", "runs_total", "failures_total")


async def test_every_loop_has_its_deadline_its_last_success_and_its_metrics() -> None:
    with served(small_company(), with_loops=True) as address:
        async with httpx.AsyncClient(base_url=address) as client:

            async def loops() -> dict[str, dict[str, Any]]:
                return {loop["name"]: loop for loop in (await client.get("/healthz")).json()["loops"]}

            found = await eventually(loops, lambda seen: seen["cycle"]["last_success_at"] is not None)
            exposed = (await client.get("/metrics")).text
    assert {"cycle", "watch", *PERIODIC} <= set(found)
    assert all(loop["deadline_seconds"] > 0 for loop in found.values())
    assert all({"is_ok", "last_success_at", "last_error"} <= set(loop) for loop in found.values())
    for metric in METRICS:
        assert f'allot_loop_{metric}{{loop="cycle",simulated="false"}}' in exposed
    for name in found:
        assert f'allot_loop_runs_total{{loop="{name}",simulated="false"}}' in exposed
