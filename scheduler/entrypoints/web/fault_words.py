"""What became of work whose GPU reported an error, in words for the page and for the terminal."""

from collections.abc import Mapping
from typing import Final

from scheduler.lifecycle.views.gpu_faults import FaultOutcome

FAULT_OUTCOMES: Final[Mapping[str, str]] = {
    FaultOutcome.NOBODY: "none",
    FaultOutcome.PENDING: "goes on",
    FaultOutcome.ENDED: "failed with it",
    FaultOutcome.SURVIVED: "ended otherwise",
}
