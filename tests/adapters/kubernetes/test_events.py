"""What is told on a Job: it fits the API's bounds whatever a user wrote."""

from scheduler.adapters.kubernetes.events import event, telling_patch
from scheduler.domain.actions import TellJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, JobUid


def test_a_verdict_that_quotes_a_huge_annotation_still_fits_where_it_is_told() -> None:
    """A Job holds 256 KiB of annotations, which its user may have filled: a status as long would be refused, unsaid."""
    word = TellJob("team", "n" * 63, JobUid("u-1"), Reason.REFUSED, "there is no project '" + "💥" * 60_000)

    status = telling_patch(word)["metadata"]["annotations"]["allot.dev/status"]
    note = event(word, Instant(0), "allot-0")["note"]

    assert status == note
    assert 1020 <= len(note.encode()) <= 1024
