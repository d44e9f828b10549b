"""Slurm's accounting as `sacct -P` or `sacct --json` prints it: one job a row, its steps left out. Liberal in what real
clusters write.

Fields are found by their names in the header; only JobID, Submit and a way to tell how long it ran and what GPUs it
had are needed. Times without an offset are on the wall clock of the time zone that is given.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput
from scheduler.domain.periods import to_instant
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND, Instant
from scheduler.simulation.traces.opening import opened_text
from scheduler.simulation.traces.rows import LeaveOut, Row, invalid, quoted, refuse_all, rows
from scheduler.simulation.traces.sacct_json import begins_json, read_json
from scheduler.simulation.traces.sacct_table import JOB, STEP, read_table

REQUIRED = ("JobID", "Submit")
EARLIER_RUN = "earlier run of a requeued job"
TOLD_AGAIN = "job of which another file tells, too"
UNSAID = frozenset({"", "unknown", "none", "n/a", "na", "(null)", "none assigned", "invalid"})
NO_LIMIT = frozenset({"unlimited", "partition_limit", "partition limit"})
GOING_ON = frozenset({"", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "COMPLETING", "STAGE_OUT"})
"""States of a job that may not have ended when sacct was asked."""
GPUS_MAX = 100_000
TWICE_SHOWN_MS = MS_PER_HOUR
"""When summer time ends, a wall clock shows an hour twice: a true end may seem so much before its start."""
YEARS = (2000, 2100)
"""What a time may be of: Slurm is no older, and a replay goes through all years, also those since a time of nothing."""

_CLOCK = re.compile(r"^(?:(?:([0-9]{1,6})-)?([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})(?:\.[0-9]+)?$")
_DAYS_HOURS = re.compile(r"^([0-9]{1,6})-([0-9]{1,9})$")
_GPU_COLUMNS = ("AllocTRES", "ReqTRES", "AllocGRES", "ReqGRES")
_GRES = re.compile(r"^gres[/:]", re.IGNORECASE)
_SHARE = re.compile(r"^(gres[/:])?(shard|mps)([:/=].+)?(?<![:=]0)$", re.IGNORECASE)
"""A GPU of which several jobs have a part each: gres/shard=4, gres/mps:a100=50, mps:50."""
_ASIDE = re.compile(r"\([^()]*\)")
"""Sockets or indexes behind a count, which may have commas between (gpu:a100:4(S:0,1)), or that there is no type."""
_AMOUNT = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([KMGTP]?)(?:i?B)?([nc]?)$", re.IGNORECASE)
_MIB = {"K": 2**-10, "M": 1, "G": 2**10, "T": 2**20, "P": 2**30}


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job. `ran_ms` None: it never started, or (`has_started`) had not ended and nothing says how long it ran. `gpus` and
    `models` are what it was given, else what it asked for."""

    id: str
    name: str
    user: str
    account: str
    partition: str
    qos: str
    state: str
    submitted_at: Instant
    ran_ms: int | None
    limit_ms: int | None
    nodes: int
    gpus: int
    models: tuple[str, ...]
    cpu_milli: int
    memory_mib: int
    exit_code: int
    started_at: Instant | None = None
    eligible_at: Instant | None = None
    """Since when it could have started (its dependencies, its begin time); None: not said."""
    cluster: str = ""
    is_share: bool = False
    """It has parts of GPUs, of one on each of its nodes: those are its `gpus`."""

    @property
    def has_started(self) -> bool:
        return self.started_at is not None


def read_jobs(
    files: Iterable[Path], time_zone: str, leave_out: LeaveOut = refuse_all
) -> tuple[list[SlurmJob], Counter[str]]:
    """The jobs in the files' order, and how many rows were left out, by why: a job once, whatever tells of it.

    Of a requeued job, of which sacct tells with `--duplicates`, the last run counts. Files of two months both tell of what
    ran from one into the other: what is known of it last counts. Jobs of one number that were submitted at other
    instants may be of two clusters, where there are several files and no column Cluster: they are jobs of their own.

    Raises InvalidInput `invalid-trace` where a row is none, unless those are left out.
    """
    zone = ZoneInfo(time_zone)
    known: dict[tuple[str, str, Instant], SlurmJob] = {}
    left_out: Counter[str] = Counter()
    for file in files:
        for job in _last_runs(_read(file, zone, leave_out), left_out):
            key = (job.cluster, job.id, job.submitted_at)
            before = known.get(key)
            left_out[TOLD_AGAIN] += before is not None
            if before is None or (job.ran_ms or 0) > (before.ran_ms or 0):
                known[key] = job
    return list(known.values()), +left_out


def _last_runs(read: Iterable[SlurmJob], left_out: Counter[str]) -> Iterable[SlurmJob]:
    """Of each job its run that began last, in whatever order the rows stand."""
    jobs: dict[tuple[str, str], SlurmJob] = {}
    for job in read:
        before = jobs.get((job.cluster, job.id))
        left_out[EARLIER_RUN] += before is not None
        if before is None or _began(job) >= _began(before):
            jobs[job.cluster, job.id] = job
    return jobs.values()


def _began(job: SlurmJob) -> tuple[bool, Instant, Instant, int]:
    """A requeued job is submitted anew; while it waits again, what it had run before is all that is known of it. Where
    the files of two months were put into one, of one run the row counts that tells of more of it."""
    return job.has_started, job.submitted_at, job.started_at or Instant(0), job.ran_ms or 0


def _read(file: Path, zone: ZoneInfo, leave_out: LeaveOut) -> Iterator[SlurmJob]:
    """Every job's row."""
    parse = _Parser(zone)
    with opened_text(file) as text:
        first = text.readline()
        if begins_json(first):
            yield from _jobs_of(read_json(first + text.read(), file), parse, leave_out)
            return
        columns, lines, between = read_table(first, text, file, REQUIRED, leave_out)
        remedy = f" (where names hold {between}, ask for one column of free text, or with another --delimiter)"
        for _, _, job in rows(lines, columns, file, parse, leave_out, remedy):
            if job is not None:
                yield job


def _jobs_of(read: Iterable[tuple[Row, str]], parse: "_Parser", leave_out: LeaveOut) -> Iterator[SlurmJob]:
    for row, where in read:
        try:
            job = parse(row, where)
        except InvalidInput as refusal:
            leave_out(refusal)
            continue
        if job is not None:
            yield job


class _Parser:
    """A row to a job; None for the step of one."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def __call__(self, row: Row, where: str) -> SlurmJob | None:
        job_id = row["JobID"]
        if STEP.match(job_id):
            return None
        if not JOB.match(job_id):
            raise invalid(f"{where}: JobID", quoted(job_id), "a job's number, with its array index or step")
        submitted_at = self._moment(row, "Submit", where)
        if submitted_at is None:
            raise invalid(f"{where}: Submit", quoted(row["Submit"]), "when it was submitted")
        gpus, models = _gpus(row, where)
        is_share = not gpus and _has_share(row)
        nodes = _count(row, ("NNodes", "AllocNodes", "ReqNodes"), where) or _tres(row, "node", where) or 1
        cpus = _count(row, ("AllocCPUS", "NCPUS", "ReqCPUS"), where) or _tres(row, "cpu", where)
        return SlurmJob(
            id=job_id,
            name=row.get("JobName", "") or job_id,
            user=row.get("User", "") or row.get("UID", ""),
            account=row.get("Account", ""),
            partition=row.get("Partition", ""),
            qos=row.get("QOS", ""),
            state=_state(row),
            submitted_at=submitted_at,
            ran_ms=self._ran_ms(row, where),
            limit_ms=_limit_ms(row, where),
            nodes=nodes,
            gpus=nodes if is_share else gpus,
            models=models,
            cpu_milli=cpus * 1000,
            memory_mib=_memory_mib(row, nodes, cpus, where),
            exit_code=_exit_code(row),
            started_at=self._moment(row, "Start", where),
            eligible_at=self._moment(row, "Eligible", where),
            cluster=row.get("Cluster", ""),
            is_share=is_share,
        )

    def _moment(self, row: Row, column: str, where: str, fold: int = 0) -> Instant | None:
        """`fold` 1: the later of the two instants at which a wall clock shows it, where it does so twice."""
        text = row.get(column, "")
        if text.lower() in UNSAID:
            return None
        try:
            seconds = whole_number_in(text)  # SLURM_TIME_FORMAT=%s
            moment = datetime.fromisoformat(text) if seconds is None else datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            moment = None
        if moment is None or not YEARS[0] <= moment.year <= YEARS[1]:
            raise invalid(f"{where}: {column}", quoted(text), "a time such as 2026-01-31T09:30:00, or Unknown")
        return to_instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone, fold=fold))

    def _ran_ms(self, row: Row, where: str) -> int | None:
        """ElapsedRaw, else Elapsed, else from Start to End; nothing that never started has run."""
        start, end = self._moment(row, "Start", where), self._moment(row, "End", where)
        if "Start" in row and start is None:
            return None
        if start is not None and end is not None and end < start:
            end = self._moment(row, "End", where, fold=1) or end
        if start is not None and end is not None and end < start - TWICE_SHOWN_MS:
            raise invalid(f"{where}: End", quoted(row["End"]), f"no sooner than Start, {row['Start']}")
        if _is_said(row, "ElapsedRaw"):
            return _count(row, ("ElapsedRaw",), where) * MS_PER_SECOND
        if _is_said(row, "Elapsed"):
            elapsed = _elapsed_ms(row["Elapsed"])
            if elapsed is None:
                raise invalid(f"{where}: Elapsed", quoted(row["Elapsed"]), "a time such as 1-02:03:04 or 05:00")
            return elapsed
        if start is not None and end is None and "End" in row and _state(row) in GOING_ON:
            return None
        if start is None or end is None:
            column = next((each for each in ("ElapsedRaw", "Elapsed", "End", "Start") if each in row), "JobID")
            found = "nothing that says how long it ran"
            raise invalid(f"{where}: {column}", found, "ElapsedRaw, Elapsed, or Start and End")
        return max(0, end - start)


def _is_said(row: Row, column: str) -> bool:
    return row.get(column, "").lower() not in UNSAID


def _state(row: Row) -> str:
    """Without who cancelled it, which stands behind."""
    return row.get("State", "").split(" ")[0].upper()


def _elapsed_ms(text: str) -> int | None:
    """`D-HH:MM:SS`, `HH:MM:SS`, `MM:SS` or `MM:SS.mmm`; of limits also `D-HH`. None for what is none of them."""
    days_hours = _DAYS_HOURS.match(text)
    if days_hours is not None:
        return int(days_hours[1]) * MS_PER_DAY + int(days_hours[2]) * MS_PER_HOUR
    match = _CLOCK.match(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * MS_PER_DAY + hours * MS_PER_HOUR + minutes * MS_PER_MINUTE + seconds * MS_PER_SECOND


def _limit_ms(row: Row, where: str) -> int | None:
    minutes = whole_number_in(row.get("TimelimitRaw", ""))
    if minutes is not None:
        return minutes * MS_PER_MINUTE
    text = row.get("Timelimit", "")
    if text.lower() in UNSAID | NO_LIMIT:
        return None
    limit = _elapsed_ms(text)
    if limit is None:
        raise invalid(f"{where}: Timelimit", quoted(text), "a time such as 1-00:00:00, UNLIMITED or Partition_Limit")
    return limit


def _count(row: Row, columns: tuple[str, ...], where: str) -> int:
    """Of the first of these columns that says anything: `16`, or `1.5K` as sacct shortens it; 0 where none does."""
    for column in columns:
        text = row.get(column, "")
        if text.lower() in UNSAID:
            continue
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMG]?)", text, re.IGNORECASE)
        if match is None or len(text) > 18:
            raise invalid(f"{where}: {column}", quoted(text), "a whole number")
        return int(float(match[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[match[2].upper()])
    return 0


def _gpus(row: Row, where: str) -> tuple[int, tuple[str, ...]]:
    """GPUs and their models: of what was allocated, else asked for; 0 where neither says so."""
    for column in _GPU_COLUMNS:
        total, typed, models = 0, 0, set()
        for item in _ASIDE.sub("", row.get(column, "")).split(","):
            count, model = _gpus_of(item.strip(), f"{where}: {column}")
            if model and count:
                typed += count
                models.add(model)
            else:
                total = max(total, count)
        gpus = max(total, typed)
        if gpus > GPUS_MAX:
            raise invalid(f"{where}: {column}", f"{gpus} GPUs", f"at most {GPUS_MAX}")
        if gpus:
            return gpus, tuple(sorted(models))
    return 0, ()


def _has_share(row: Row) -> bool:
    items = (item for column in _GPU_COLUMNS for item in _ASIDE.sub("", row.get(column, "")).split(","))
    return any(_SHARE.match(item.strip()) for item in items)


def _gpus_of(item: str, where: str) -> tuple[int, str]:
    """How many of what model: `gres/gpu:a100=4`, or `gpu:a100:4` as older versions have it, where `gpu` alone is one.
    0 of what is no GPU. A model may have several parts, or be of digits alone."""
    name, tells, amount = item.partition("=")
    kind, *parts = [part.strip() for part in re.split("[:/]", _GRES.sub("", name))]
    if kind.lower() != "gpu":
        return 0, ""
    if not tells:
        amount = parts.pop() if parts and parts[-1].isdecimal() else "1"
    count = whole_number_in(amount.strip())
    if count is None or count > GPUS_MAX:
        raise invalid(where, quoted(item), f"GPUs such as gres/gpu:a100=4, at most {GPUS_MAX}")
    return count, ":".join(part for part in parts if part and part.lower() != "no_consume")


def _tres(row: Row, name: str, where: str) -> int:
    for column in ("AllocTRES", "ReqTRES"):
        for item in row.get(column, "").split(","):
            key, _, amount = item.partition("=")
            if key.strip() == name:
                return _count({column: amount.strip()}, (column,), where)
    return 0


def _memory_mib(row: Row, nodes: int, cpus: int, where: str) -> int:
    """In all: of `mem=` in AllocTRES or ReqTRES, else of ReqMem (`4Gn` a node, `4Gc` a CPU); 0 where nothing says so."""
    for column in ("AllocTRES", "ReqTRES"):
        for item in row.get(column, "").split(","):
            key, _, amount = item.partition("=")
            if key.strip() == "mem":
                return _mib(amount.strip(), f"{where}: {column}")[0]
    text = row.get("ReqMem", "")
    if text.lower() in UNSAID or text == "?":
        return 0
    mib, per = _mib(text, f"{where}: ReqMem")
    return mib * {"n": nodes, "c": max(1, cpus)}.get(per, 1)


def _mib(text: str, where: str) -> tuple[int, str]:
    match = _AMOUNT.match(text)
    if match is None or len(match[1]) > 15:
        raise invalid(where, quoted(text), "an amount of memory such as 64G")
    return int(float(match[1]) * _MIB[match[2].upper() or "M"]), match[3].lower()


def _exit_code(row: Row) -> int:
    """`code:signal`: a job that a signal ended has failed as well. Liberal: what is no code is none."""
    code, _, signal = row.get("ExitCode", "").partition(":")
    if exited := whole_number_in(code):
        return min(exited, 255)
    signalled = whole_number_in(signal)
    return 128 + signalled % 128 if signalled else 0
