"""The keys of a policy file that say what is tried again."""

from scheduler.adapters.policy_files.kinds import Choice, ListOf, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.retries import RetriedEnd, RetryRule
from scheduler.domain.units import MS_PER_SECOND, PerMille

_SECONDS = Whole(1, 86_400, "seconds")

EXIT_CODES = Field("exit_codes", ListOf(Whole(0, 255)), "of the first container that failed", absent="any")
ENDS = Field(
    "ends", ListOf(Choice(RetriedEnd)), "how the attempt ended", default=(RetriedEnd.FAILED,), absent="`Failed`"
)
RETRIES_MAX = Field("retries_max", Whole(0, 100), "how often it is tried again; 0: never", default=3)
FIRST_WAIT = Field(
    "first_wait_seconds", _SECONDS, "wait before the first retry; each further one doubles", default=10
)
LONGEST_WAIT = Field("longest_wait_seconds", _SECONDS, "but waits no longer than this", default=600)
JITTER = Field("jitter_per_mille", Whole(0, 1000, "per mille"), "at most so much more is waited", default=200)
RETRY_RULE = Section(
    "retry_rules.NAME",
    "Which ends of a job are tried again. The first rule that covers an end decides; preemptions use up no retry.",
    (EXIT_CODES, ENDS, RETRIES_MAX, FIRST_WAIT, LONGEST_WAIT, JITTER),
)


def retry_rule(name: str, record: Record) -> RetryRule:
    codes = record.find(EXIT_CODES)
    return RetryRule(
        name,
        exit_codes=None if codes is None else frozenset(codes),
        ends=frozenset(record.value(ENDS)),
        retries_max=record.value(RETRIES_MAX),
        first_wait_ms=record.value(FIRST_WAIT) * MS_PER_SECOND,
        longest_wait_ms=record.value(LONGEST_WAIT) * MS_PER_SECOND,
        jitter=PerMille(record.value(JITTER)),
    )
