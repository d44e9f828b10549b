"""Kueue's own scalability test, with Jobs instead of its Workloads, against a real etcd and apiserver.

python -m benchmarks.admission [--generator FILE] [--json] [--keep]

Three processes beside the control plane: the runner, which creates and ends the Jobs, `allot serve --cluster kubernetes`
as in production with its ledger on a SQLite file, and this one, which waits. The last line is one JSON object.

The control plane is that of `allot dev cluster`, of etcd and the apiserver alone. As in the envtest that Kueue's
figures are taken on, etcd does not wait for its disk and is not spoken to over TLS (there plain HTTP, here a Unix
socket). Unlike there, both collect garbage at GOGC=400, an operator's setting (`GOGC=100 python -m
benchmarks.admission` measures without it). Of a write's processor time where nothing else is done the setting saves a
quarter and the socket a sixth (docs/devcluster.md); in a run less. 3,000 workloads of the baseline's sorts on two
cohorts, twice each, one after the other with real-time priority beside other work, cost the apiserver and etcd 31.7 s
with neither, 32.3 with the socket, 28.2 with both; they took 39.3, 38.5 and 37.7 s to the end (513bb7e8).

The ledger waits for its disk at each commit. The runner asks the apiserver for as little as it can: its answers carry
metadata alone, and creations and ends have connections of their own.

**What of Kueue's configuration is kept.** Cohorts, quotas, borrowing and preemption are those of the generator file.
Beside them the benchmark's policy has one term that Kueue does not know, a preemption delay of 5 s (LSF's
`PREEMPT_DELAY`, below the goal for the large ones' wait): nobody is stopped for work that has not waited so long.
Kueue's own figures, 402 and 279 s, are without; `--preemption-delay-seconds 0` is ours without, and
`--minimum-runtime-seconds 2` spares whoever has started instead. Quiet, on one machine, on which Kueue was not
measured, one run each, but two with the delay (the other 85.0 s) and without (99.9 s); at 1da66a2d, the last two at
729a67df:

| | to the end | preempted | waits large / medium / small |
|---|---|---|---|
| a preemption delay of 5 s | 84.5 s | 190 | 2.3 / 17.5 / 36.0 s |
| neither, as Kueue | 96.1 s | 4,197 | 0.3 / 38.0 / 59.9 s |
| minimum runtime of 1 s | 83.9 s | 117 | 14.2 / 8.3 / 10.1 s |
| minimum runtime of 2 s | 77.1 s | 0 | 5.2 / 16.2 / 17.5 s |

With the delay the goals for the waits are met (5, 45 and 68 s), and that for the end, 90 s, is kept or missed by a
little: machines of this kind differ by a tenth, and from hour to hour, up to 111 s (7caeb74b). The last one took 93.4 s
(below). The 88.0 s of 7caeb74b, and what is said of it here, lacked what sends a Job to its node: from d68b1588 to
8e32a9ed the apiserver dropped it from each launch. That costs 1.2 s of the end: in one hour 92.9 s with it, 91.7
without, and 91.8 at the commit that had kept to 88.7 three hours before (1f9e99c8, one run each).
Without it the end is missed, and with a minimum runtime the large ones' wait. Earlier
machines of this kind took 107 to 122 s without either (before 06d82088).

Where the time goes with a delay, on that machine (7caeb74b). The large ones are done by second 70, as without:
until then a third of both processors is idle. While Jobs are created a cycle comes each 33 ms, and of 48 ms between a
large one's end and the next launch 10 are the end's write, 10 the wait for the cycle, 17 the cycle up to its sending
and 11 the launch; once none are created any more it is 27 ms in all. Then 8,900 small ones are left, which take 22 s
at 400 a second with both processors full: 4.9 ms of them for a launch and an end, all processes together.

Where the time of the baseline goes without a delay (729a67df). The large ones are created until second 61 and
have priority: they run on 500 of the 600 GPUs, and wait for the end of others, its confirmation and their own launch
for the rest, so that what is started beside them falls before it has ended. Then come the medium ones, for some 17 s:
0.5 s of work and 0.2 s between an end and the next launch, of which 20 ms are the end's write, 40 ms the wait for the
cycle, 30 ms the cycle and 35 ms the launch. The small ones come last, at some 330 a second: a launch and an end cost
the apiserver 3.3 ms of processor, etcd 0.5, the service 1.3 and the runner 0.2. With a delay small and medium ones
end beside the large ones before these may stop them.

Of that, at a52f3856, a create costs the apiserver 1.3 ms, a launch 1.9 and an end 1.2, with two watches that are told
of each; a ninth of it was the admission policies' of manifests/ (author and size, at creations and launches), a
twentieth the collection of garbage. Since then engineers sign in with tokens where the runner impersonated them, a
launch is a strategic merge patch where it was a JSON Patch, and an end an update of the status where it was a merge
patch: 1.3 ms became 1.2, 1.9 became 1.6, and 1.1 became 0.8 (d68b1588, medians of ten blocks of 256 Jobs in turns,
beside other work). Fewer at a time cost more, as each then wakes every process by itself: the three took 5.0 ms with
64 at a time, 5.5 with 32, 6.2 with 8 and 7.0 with 4. Of the service's processor time three fifths are its event loop
(a fifth of all sends launches, a seventh reads the watches) and two fifths the cycle, of which half is SQL; nothing
in it is above a tenth.

What was tried at that and gains nothing that can be told (blocks of 180 Jobs in turns, each cost counted alone,
beside other work, where a tenth cannot be told; 317be908 to e594dfbc): a launch's patch without what is so already,
or without all but `suspend`, the pods' annotations and the tracking; a merge patch; `fieldValidation=Ignore`; Jobs
created untracked (ADR 18); one processor for etcd (GOMAXPROCS=1); goroutines that begin with larger stacks
(GODEBUG=adaptivestackstart=1); a launch that updates the whole Job. The two policies are 0.13 ms of a create and as
much of a launch, which took 0.18 more while a change of the author was undone and not refused. Of a call of the
service 0.15 ms are aiohttp's, whatever its cookies, timeouts and addresses are set to (a client like the runner's
takes 0.045); a Job of the watch is decoded in 0.004 ms and read in 0.02, a new one in 0.05; a row is written out in
0.003. Both commits of a cycle wait 1 to 5 ms each for the disk.

The larger file (`--generator benchmarks/admission/large.yaml`) has room for nearly everything at once, and is bound
by the processors alone, from the first creation to the last end: of each of its 50,000 workloads 4.7 ms of the
apiserver, 0.7 of etcd, 2.0 of the service and 0.3 of the runner (1d26ab4e). A cycle there starts thousands, and
what is left is that the apiserver idles while the service takes in what has ended of the cycle before.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.admission.company import people_text, policy_text
from benchmarks.admission.deployed import deploy
from benchmarks.admission.engineers import write_tokens
from benchmarks.admission.generator import Generator, read_generator
from benchmarks.admission.runner import NAMESPACE
from benchmarks.measured import keep
from scheduler.adapters.policy_files import read_policy
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import Refusal
from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.cluster import Options, start
from scheduler.ledger.journal import AccountKind

BASELINE = Path(__file__).parent / "baseline.yaml"
READY_SECONDS = 180
SETTLE_SECONDS = 60
MINIMUM_RUNTIME_SECONDS = 0
PREEMPTION_DELAY_SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, default=BASELINE)
    parser.add_argument("--json", action="store_true", help="nothing on standard output but the result")
    parser.add_argument("--keep", metavar="NAME", help="store the result under benchmarks/results/NAME.json")
    parser.add_argument(
        "--minimum-runtime-seconds",
        type=int,
        default=MINIMUM_RUNTIME_SECONDS,
        help="in which nobody is preempted (default: %(default)s, as in Kueue, which knows none)",
    )
    parser.add_argument(
        "--preemption-delay-seconds",
        type=int,
        default=PREEMPTION_DELAY_SECONDS,
        help="which work waits before anybody is stopped for it (default: %(default)s; Kueue knows none: 0)",
    )
    parser.add_argument("--limit-seconds", type=float, default=1800)
    parser.add_argument("--profile", type=Path, help="write a cProfile of the service there")
    arguments = parser.parse_args()
    try:
        generator = read_generator(arguments.generator)
        read_policy(
            policy_text(generator, arguments.minimum_runtime_seconds, arguments.preemption_delay_seconds),
            "as a policy",
        )
    except (OSError, ValueError, Refusal) as error:
        parser.exit(2, f"{arguments.generator}: {error}\n")
    # Asked to end it ends what it has started, too: etcd and the apiserver are processes of their own.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="allot-admission-") as scratch:
        result = _measure(generator, arguments, Path(scratch))
    if arguments.keep:
        result = keep(arguments.keep, result)
    if not arguments.json and arguments.generator == BASELINE:
        print(
            "Kueue on two cores: 402 s as shipped, 279 s with client limits lifted; waits 26.3 / 88 / 163 s",
            file=sys.stderr,
        )
    print(json.dumps(result))


def _measure(generator: Generator, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    programs = binaries.provide(binaries.find_module())
    engineers = scratch / "engineers.csv"
    write_tokens(engineers, (queue.name for queue in generator.queues))
    options = Options(runs_workloads=False, apiserver_arguments=(f"--token-auth-file={engineers}",))
    plane = asyncio.run(start(programs, scratch / "cluster", options))
    try:
        kubeconfigs = asyncio.run(deploy(plane, generator, scratch))
        policy = policy_text(generator, arguments.minimum_runtime_seconds, arguments.preemption_delay_seconds)
        with _service(kubeconfigs.service, policy, people_text(generator), scratch, arguments.profile) as database:
            runner = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.admission.runner"),
                    f"--kubeconfig={kubeconfigs.runner}",
                    f"--engineers={engineers}",
                    f"--generator={arguments.generator}",
                    f"--limit-seconds={arguments.limit_seconds}",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if runner.returncode != 0:
                raise SystemExit(f"the runner failed:\n{runner.stderr[-2000:]}\n{_tail(scratch / 'serve.log')}")
            result: dict[str, Any] = json.loads(runner.stdout.splitlines()[-1])
            result["minimum_runtime_seconds"] = arguments.minimum_runtime_seconds
            result["preemption_delay_seconds"] = arguments.preemption_delay_seconds
            return result | _books(database, result["workloads"])
    finally:
        plane.stop()


@contextlib.contextmanager
def _service(kubeconfig: Path, rules: str, staff: str, scratch: Path, profile: Path | None) -> Iterator[str]:
    """`allot serve` as a user would start it; yields the address of its database."""
    policy, people, database = scratch / "policy.yaml", scratch / "people.yaml", scratch / "allot.db"
    policy.write_text(rules, encoding="utf-8")
    people.write_text(staff, encoding="utf-8")
    profiled = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    command = [sys.executable, *profiled, "-m", "scheduler.entrypoints.cli", "serve", "--cluster", "kubernetes"]
    command += ["--kubeconfig", str(kubeconfig), "--database", f"sqlite:///{database}", "--port", "0"]
    command += ["--policy", str(policy), "--people", str(people), "--namespace", NAMESPACE]
    with (scratch / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        try:
            _wait_until_ready(process, scratch / "serve.log")
            yield f"sqlite:///{database}"
        finally:
            process.send_signal(2)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
            if os.environ.get("ALLOT_BENCHMARK_LOG"):
                Path(os.environ["ALLOT_BENCHMARK_LOG"]).write_text((scratch / "serve.log").read_text())


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if "allot listens on" in log.read_text():
            time.sleep(2)  # the first relist and grant
            return
        time.sleep(0.1)
    raise SystemExit(f"the service did not start:\n{_tail(log)}")


def _books(database: str, workloads: int) -> dict[str, Any]:
    """What the ledger says once everything is settled: every workload charged, every hold resolved, the sums right."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        store = open_store(database, migrate=False)
        with store.reading() as books:
            holds = len(books.holds.open_ones())
            live = len(books.attempts.live())
            charged = sum(entry.gpu_ms for entry in books.journal.entries(kinds=[AccountKind.CHARGED]))
            differences = len(books.journal.differences())
        store.close()
        if (holds == 0 and live == 0) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return {
        "ledger": {
            "open_holds": holds,
            "live_attempts": live,
            "charged_gpu_seconds": charged / 1000,
            "balances_that_differ": differences,
            "charged_per_workload_seconds": round(charged / 1000 / workloads, 2),
        }
    }


def _tail(log: Path) -> str:
    return log.read_text()[-3000:]


if __name__ == "__main__":
    main()
