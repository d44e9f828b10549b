"""Jobs that somebody keeps from ending, as they are read: deleted and kept by a finalizer, or another controller's."""

import pytest

from scheduler.adapters.kubernetes.jobs import read_job
from scheduler.adapters.kubernetes.launching import ending_patch
from tests.adapters.kubernetes.conftest import H100
from tests.adapters.kubernetes.objects import Json, job

_DELETED = "2026-03-02T11:00:00Z"


@pytest.mark.parametrize(
    ("metadata", "spec", "is_lingering"),
    [
        pytest.param({"finalizers": ["example.com/never"]}, {}, False, id="not deleted"),
        pytest.param(
            {"deletionTimestamp": _DELETED, "finalizers": ["example.com/never"]}, {}, True, id="kept by somebody"
        ),
        pytest.param(
            {"deletionTimestamp": _DELETED, "finalizers": ["foregroundDeletion"]}, {}, False, id="its pods go first"
        ),
        pytest.param(
            {"deletionTimestamp": _DELETED, "finalizers": ["example.com/never"]},
            {"activeDeadlineSeconds": 1, "suspend": False},
            False,
            id="told to end",
        ),
        pytest.param(
            {"deletionTimestamp": _DELETED, "finalizers": ["example.com/never"]},
            {"activeDeadlineSeconds": 1, "suspend": True},
            True,
            id="suspended, so that it heeds no deadline",
        ),
    ],
)
def test_a_deleted_job_that_a_finalizer_keeps_lingers_until_its_deadline_is_over(
    metadata: Json, spec: Json, is_lingering: bool
) -> None:
    raw = job(spec=spec)
    raw["metadata"].update(metadata)

    assert read_job(raw, [H100]).is_lingering is is_lingering


def test_what_lingers_is_ended_by_a_deadline_that_it_heeds_only_while_it_is_not_suspended() -> None:
    assert ending_patch("uid") == [
        {"op": "test", "path": "/metadata/uid", "value": "uid"},
        {"op": "add", "path": "/spec/suspend", "value": False},
        {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1},
    ]


@pytest.mark.parametrize(
    ("managed_by", "status", "is_taken_up"),
    [
        ("example.com/other", {"startTime": _DELETED}, True),
        ("example.com/other", {}, False),
        ("kubernetes.io/job-controller", {"startTime": _DELETED}, False),
    ],
)
def test_another_controller_has_taken_a_job_up_once_it_says_when(
    managed_by: str, status: Json, is_taken_up: bool
) -> None:
    assert read_job(job(spec={"managedBy": managed_by}, status=status), [H100]).is_taken_up is is_taken_up
