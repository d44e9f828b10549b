"""From the driver to the statement: a GPU falls off the bus, its job fails, and the lost work comes back with the Xid."""

from pathlib import Path

from scheduler.domain.units import MS_PER_MINUTE, Instant, NodeName
from scheduler.lifecycle.views.reader import Views
from scheduler.metering.integration import Integration
from scheduler.metering.scrapes import States, follow
from scheduler.metering.windows import Window
from tests.lifecycle.agents import BOOT, WINDOW_MS, Agents
from tests.lifecycle.broken import CHECKPOINTED_MS, RAN_MS, Broken, broken
from tests.lifecycle.build import Company
from tests.nvml.machine import FakeMachine, Fault, Gpu, Job, Machine, Xid
from tests.nvml.scenario import readings, write_proc, write_process

STEP_MS = 5_000
RULES = Integration(NodeName("n0"), BOOT, WINDOW_MS, 3 * STEP_MS)


def read(fake: FakeMachine, proc: Path, start: Instant, xid: int) -> list[Window]:
    """What the node's agent makes of its last ten minutes: one of its two GPUs is lost seven seconds before the end."""
    broke_at = start + RAN_MS - 7_000
    fake.describe(
        Machine(
            (Gpu("GPU-n0-0"), Gpu("GPU-n0-1", bus="00000000:2a:00.0", minor=1)),
            (
                Job(0, pid=100, start_ms=start, duty_permille=900),
                Fault(15, gpu=0, from_ms=broke_at),
                Xid(0, broke_at, xid),
            ),
            booted_ms=start - MS_PER_MINUTE,
        )
    )
    states: States = {}
    windows: list[Window] = []
    last = start + RAN_MS + MS_PER_MINUTE
    for reading in readings(fake, range(last - 11 * MS_PER_MINUTE, last + 1, STEP_MS), proc):
        followed = follow(states, reading.samples, reading.at, lambda _: RULES)
        states = followed.states
        windows += followed.windows
    return windows


def failed_with(fake: FakeMachine, tmp_path: Path, company: Company, xid: int) -> Broken:
    proc = write_proc(tmp_path / "proc")
    write_process(proc, 100)
    work = broken(company)
    Agents(company).register("n0", gpus=2)
    told = read(fake, proc, work.start, xid)
    assert {each for window in told for each in window.xids} == {xid}
    live = [window for window in told if window.end <= work.ended_at]
    assert work.agents.post(*live).taken == len(live)
    work.fail()
    company.now = Instant(work.ended_at + MS_PER_MINUTE)
    late = [window for window in told if window.end > work.ended_at]
    assert work.agents.post(*late).taken == len(late) > 0
    work.judge()
    return work


def test_a_job_whose_gpu_falls_off_the_bus_sees_the_refund_and_why_on_its_owners_statement(
    fake: FakeMachine, tmp_path: Path
) -> None:
    failed_with(fake, tmp_path, company := Company(), 79)
    found = Views(company.store, company.world).statement(company.caller("ada"), "2026-11", company.now)
    (line,) = [line for line in found.lines if line.kind == "refund"]
    assert line.gpu_ms == found.refunded == 2 * (RAN_MS - CHECKPOINTED_MS)
    assert "train, attempt 1 (work lost: GpuFault, Xid 79 on GPU-n0-0 of n0 by 2026-11-20T12:40:" in line.text
    assert found.opening + found.granted - found.charged + found.refunded == found.held + found.closing
    company.close()


def test_a_job_whose_program_asks_for_what_is_not_there_pays_for_it(fake: FakeMachine, tmp_path: Path) -> None:
    work = failed_with(fake, tmp_path, company := Company(), 31)
    found = Views(company.store, company.world).statement(company.caller("ada"), "2026-11", company.now)
    assert (work.refunded_ms, found.refunded) == (0, 0)
    assert found.charged == 2 * RAN_MS
    company.close()
