"""What goes into the books comes out of them, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import pytest
from sqlalchemy import Table

from scheduler.adapters.sql.store import SqlStore
from scheduler.adapters.sql.tables import allowances, control, people, verdicts, workloads
from scheduler.decision.snapshot import Reservation
from scheduler.domain.access import TokenRecord
from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind
from scheduler.domain.brakes import STOP_RATE_WINDOW_MS, Brake, Pause, Stop
from scheduler.domain.errors import Conflict, InvalidInput, NotFound, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    CommandId,
    EngineerId,
    GpuClassName,
    HoldId,
    Instant,
    PodUid,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import AttemptState, Workload, WorkloadState
from scheduler.ledger.grants import grant
from scheduler.ledger.holds import HoldState
from scheduler.ports import Books
from tests.adapters.sql.values import (
    ALLOWANCE,
    ATTEMPT,
    COMMAND,
    ENGINEER,
    EVENT,
    HOLD,
    POD,
    POLICY,
    SANDBOX,
    VERDICT,
    WORKLOAD,
)

TABLES = {
    "workloads": (WORKLOAD, workloads.workloads),
    "attempts": (ATTEMPT, workloads.attempts),
    "pods": (POD, workloads.pods),
    "allowances": (ALLOWANCE, allowances.allowances),
    "holds": (HOLD, allowances.holds),
    "engineers": (ENGINEER, people.engineers),
    "verdicts": (VERDICT, verdicts.verdicts),
    "audit events": (EVENT, control.audit_events),
    "commands": (COMMAND, control.commands),
    "policies": (POLICY, control.policies),
    "sandboxes": (SANDBOX, control.sandboxes),
}


@contextmanager
def stored(store: SqlStore) -> Iterator[Books]:
    """A workload with an attempt, an allowance and a hold, and a transaction to go on with."""
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
        books.attempts.add([ATTEMPT])
        books.allowances.add(ALLOWANCE)
        books.holds.open([HOLD])
        yield books


@pytest.mark.parametrize(("value", "table"), TABLES.values(), ids=TABLES)
def test_a_table_has_a_column_for_every_field_and_the_value_here_tries_each(value: object, table: Table) -> None:
    names = {field.name for field in fields(value)}  # type: ignore[arg-type]  # all of them are dataclasses
    assert names == set(table.columns.keys())


def test_a_workload_comes_back_as_it_was(store: SqlStore) -> None:
    with stored(store) as books:
        assert books.workloads.get(WORKLOAD.id) == WORKLOAD
        assert books.workloads.get(WorkloadId("w-2")) is None
        assert books.workloads.many([WORKLOAD.id, WorkloadId("w-2")]) == {WORKLOAD.id: WORKLOAD}


def test_titles_are_the_names_and_projects_of_those_workloads_alone(store: SqlStore) -> None:
    personal = replace(
        WORKLOAD, id=WorkloadId("w-2"), job_uid=None, spec=replace(WORKLOAD.spec, name="own", project=None)
    )
    with stored(store) as books:
        books.workloads.add([personal, replace(WORKLOAD, id=WorkloadId("w-3"))])
        spec = WORKLOAD.spec
        assert books.workloads.titles([WORKLOAD.id, personal.id, WorkloadId("w-9")]) == {
            WORKLOAD.id: (spec.name, spec.project),
            personal.id: ("own", None),
        }


def test_a_workload_is_written_only_over_the_version_before_it(store: SqlStore) -> None:
    newer = replace(WORKLOAD, version=5, state=WorkloadState.QUEUED)
    with stored(store) as books:
        assert books.workloads.save([newer]) == []
        assert books.workloads.save([newer]) == [WORKLOAD.id]
        assert books.workloads.save([replace(WORKLOAD, version=7)]) == [WORKLOAD.id]
        assert books.workloads.save([replace(WORKLOAD, id=WorkloadId("w-2"))]) == [WorkloadId("w-2")]
        assert books.workloads.get(WORKLOAD.id) == newer


def many_workloads() -> list[Workload]:
    """Ten, two at each instant; the ids of the later half differ from the others' in case."""
    return [
        replace(
            WORKLOAD,
            id=WorkloadId(f"{'w' if n < 5 else 'W'}-{n}"),
            owner=EngineerId(f"e-{n % 2}"),
            team=TeamName(f"t-{n % 3}"),
            submitted_at=Instant(n // 2),
            state=list(WorkloadState)[n % len(WorkloadState)],
        )
        for n in range(10)
    ]


def test_pages_list_every_workload_once_the_newest_first(store: SqlStore) -> None:
    everything = sorted(many_workloads(), key=lambda w: (w.submitted_at, w.id), reverse=True)
    with store.writing() as books:
        books.workloads.add(many_workloads())
    with store.reading() as books:
        listed: list[Workload] = []
        before = None
        while page := books.workloads.page(before=before, limit=3):
            assert len(page) <= 3
            listed += page
            before = f"{page[-1].submitted_at}|{page[-1].id}"
    assert listed == everything


def test_pages_and_counts_keep_to_their_filters(store: SqlStore) -> None:
    made = many_workloads()
    owner, team, states = EngineerId("e-1"), TeamName("t-0"), [WorkloadState.QUEUED, WorkloadState.LAUNCHING]
    with store.writing() as books:
        books.workloads.add(made)
        assert {w.id for w in books.workloads.page(owner=owner)} == {w.id for w in made if w.owner == owner}
        assert {w.id for w in books.workloads.page(team=team)} == {w.id for w in made if w.team == team}
        assert {w.id for w in books.workloads.page(states=states)} == {w.id for w in made if w.state in states}
        assert books.workloads.count() == 10
        both = [w for w in made if w.owner == owner and w.state in states]
        assert books.workloads.count(owner=owner, states=states) == len(both)
        assert {w.id for w in books.workloads.unfinished()} == {w.id for w in made if not w.state.is_final}


@pytest.mark.parametrize("cursor", ["", "w-1", "x|w-1", "-1|w-1", "²|w-1", "9999999999999999999|w-1"])
def test_a_cursor_that_is_none_is_refused(store: SqlStore, cursor: str) -> None:
    with store.reading() as books, pytest.raises(InvalidInput) as refused:
        books.workloads.page(before=cursor)
    assert refused.value.code is RefusalCode.INVALID_CURSOR


def test_attempts_come_back_as_they_were_and_in_the_order_of_their_numbers(store: SqlStore) -> None:
    first = replace(ATTEMPT, id=AttemptId("w-1.0"), number=1, state=AttemptState.ENDED)
    with stored(store) as books:
        books.attempts.add([first])
        assert books.attempts.of_workload(WORKLOAD.id) == [first, ATTEMPT]
        assert books.attempts.live() == [ATTEMPT]
        assert books.attempts.get(AttemptId("w-9.1")) is None
        assert books.attempts.many([first.id, AttemptId("w-9.1")]) == {first.id: first}


def test_an_attempt_is_overwritten_and_an_unknown_one_refused(store: SqlStore) -> None:
    ended = replace(ATTEMPT, state=AttemptState.ENDED, charged=999)
    with stored(store) as books:
        books.attempts.save([ended])
        assert books.attempts.get(ATTEMPT.id) == ended
        with pytest.raises(NotFound, match=r"w-9\.1"):
            books.attempts.save([replace(ATTEMPT, id=AttemptId("w-9.1"))])


def test_of_a_pod_saved_twice_the_last_counts(store: SqlStore) -> None:
    started = replace(POD, ended_at=None, end_evidence=None, exit_code=None)
    other = replace(POD, pod_uid=PodUid("p-2"))
    with stored(store) as books:
        books.attempts.save_pods([started, other])
        books.attempts.save_pods([started, POD])
        assert books.attempts.pods_of([ATTEMPT.id, AttemptId("w-9.1")]) == {
            ATTEMPT.id: [POD, other],
            AttemptId("w-9.1"): [],
        }
        assert (books.attempts.pod(PodUid("p-1")), books.attempts.pod(PodUid("p-9"))) == (POD, None)


def test_reservations_are_put_and_removed(store: SqlStore) -> None:
    reservation = Reservation(WORKLOAD.id, GpuClassName("h100"), ATTEMPT.placement, Instant(9), is_borrowed=True)
    later = replace(reservation, until=Instant(19))
    with stored(store) as books:
        books.attempts.save_reservations({WORKLOAD.id: reservation})
        books.attempts.save_reservations({WORKLOAD.id: later})
        assert books.attempts.reservations() == [later]
        books.attempts.save_reservations({WORKLOAD.id: None})
        assert books.attempts.reservations() == []


def test_an_allowance_is_added_once(store: SqlStore) -> None:
    with store.writing() as books:
        assert books.allowances.add(ALLOWANCE)
        assert not books.allowances.add(replace(ALLOWANCE, amount=9))
        books.journal.post([grant(ALLOWANCE, actor="olga")], Instant(5))
        assert books.allowances.get(ALLOWANCE.id) == AllowanceBalance(ALLOWANCE, ALLOWANCE.amount)
        assert books.allowances.get(AllowanceId("a-9")) is None


def test_allowances_are_selected_by_id_holder_and_instant(store: SqlStore) -> None:
    endless = replace(ALLOWANCE, id=AllowanceId("a-2"), expires_at=None, holder=Holder(HolderKind.TEAM, "e-1"))
    with store.writing() as books:
        books.allowances.add(ALLOWANCE)
        books.allowances.add(endless)

        def selected(**conditions: object) -> list[str]:
            return [b.allowance.id for b in books.allowances.balances(**conditions)]  # type: ignore[arg-type]  # of the cases below

        assert selected() == ["a-1", "a-2"]
        assert selected(ids=["a-2", "a-9"]) == ["a-2"]
        assert selected(holders=[ALLOWANCE.holder]) == ["a-1"]
        assert selected(holders=[]) == []
        assert [selected(open_at=instant) for instant in (9, 10, 19, 20)] == [
            [],
            ["a-1", "a-2"],
            ["a-1", "a-2"],
            ["a-2"],
        ]
        assert [selected(unsettled_at=instant) for instant in (9, 19, 20)] == [
            ["a-1", "a-2"],
            ["a-1", "a-2"],
            ["a-2"],
        ]


def test_holds_are_charged_up_to_their_amount_and_resolved_once(store: SqlStore) -> None:
    with stored(store) as books:
        books.holds.charge({HOLD.id: 200})
        books.holds.charge({HOLD.id: 300})
        for too_much in (1, -1):
            with pytest.raises(Conflict, match="has 0 left"):
                books.holds.charge({HOLD.id: too_much})
        books.holds.resolve([HOLD.id], Instant(9))
        resolved = replace(HOLD, charged=500, state=HoldState.RESOLVED, resolved_at=Instant(9))
        assert books.holds.of_attempt(ATTEMPT.id) == [resolved]
        with pytest.raises(Conflict, match="resolved already"):
            books.holds.resolve([HOLD.id], Instant(10))
        with pytest.raises(Conflict, match="resolved already"):
            books.holds.charge({HOLD.id: 0})
        with pytest.raises(Conflict, match="resolved already"):
            books.holds.assign([HOLD.id], ATTEMPT.id)
        with pytest.raises(NotFound, match="h-9"):
            books.holds.resolve([HoldId("h-9")], Instant(9))


def test_a_reserved_hold_waits_for_its_attempt(store: SqlStore) -> None:
    reserved = replace(HOLD, id=HoldId("h-2"), attempt_id=None, order=1)
    with stored(store) as books:
        books.holds.open([reserved])
        assert books.holds.reserved_for(WORKLOAD.id) == [reserved]
        assert books.holds.open_ones() == [HOLD, reserved]
        books.holds.assign([reserved.id], ATTEMPT.id)
        assert books.holds.reserved_for(WORKLOAD.id) == []
        assert books.holds.of_attempts([ATTEMPT.id, AttemptId("w-9.1")]) == {
            ATTEMPT.id: [replace(reserved, attempt_id=ATTEMPT.id), HOLD],
            AttemptId("w-9.1"): [],
        }


def test_verdicts_are_numbered_and_listed_the_newest_first(store: SqlStore) -> None:
    other = WorkloadId("w-2")
    with store.writing() as books:
        books.verdicts.add([VERDICT, replace(VERDICT, workload_id=other)])
        books.verdicts.add([replace(VERDICT, seq=99, at=Instant(10))])
        assert [v.seq for v in books.verdicts.recent()] == [3, 2, 1]
        assert [v.seq for v in books.verdicts.recent(after_seq=1, limit=1)] == [3]
        assert books.verdicts.of_workload(WORKLOAD.id) == [replace(VERDICT, seq=3, at=Instant(10)), VERDICT]
        newest = {seen.workload_id: seen for seen in reversed(books.verdicts.recent())}
        assert newest[other] == replace(VERDICT, seq=2, workload_id=other)
        assert books.verdicts.latest([other, VERDICT.workload_id, WorkloadId("w-9")]) == newest


def test_a_person_is_found_by_id_and_subject(store: SqlStore) -> None:
    moved = replace(ENGINEER, team=TeamName("other"))
    with store.writing() as books:
        books.people.save([ENGINEER])
        books.people.save([moved, replace(ENGINEER, id=EngineerId("e-2"), subject="bob")])
        assert books.people.get(ENGINEER.id) == moved
        assert books.people.by_subject("ada@example.org") == moved
        assert (books.people.get(EngineerId("e-9")), books.people.by_subject("eve")) == (None, None)
        assert [person.id for person in books.people.all()] == ["e-1", "e-2"]


def test_who_is_forgotten_leaves_an_id_alone(store: SqlStore) -> None:
    bob = replace(ENGINEER, id=EngineerId("e-2"), subject="bob")
    with store.writing() as books:
        books.people.save([ENGINEER, bob])
        books.people.add_token(TokenRecord("t-1", "ada@example.org", frozenset({Role.ENGINEER}), None))
        books.people.forget(ENGINEER.id)
        books.people.forget(bob.id)
        assert books.people.get(ENGINEER.id) == replace(ENGINEER, subject="", name="", roles=frozenset())
        assert books.people.by_subject("") is None
        assert books.people.caller_of("t-1", Instant(0)) is None


def test_a_token_says_who_calls_until_it_expires_or_is_revoked(store: SqlStore) -> None:
    roles = frozenset({Role.ENGINEER, Role.LEAD})
    with store.writing() as books:
        books.people.save([ENGINEER])
        books.people.add_token(TokenRecord("t-1", ENGINEER.subject, roles, Instant(100)))
        books.people.add_token(TokenRecord("t-2", "ops", frozenset({Role.OPERATOR}), None))
        books.people.add_token(TokenRecord("t-3", "node:n1", frozenset({Role.AGENT}), None))
        ada = Caller(ENGINEER.subject, roles, engineer=ENGINEER.id, team=ENGINEER.team)
        assert [books.people.caller_of("t-1", Instant(at)) for at in (99, 100)] == [ada, None]
        assert books.people.caller_of("t-2", Instant(0)) == Caller("ops", frozenset({Role.OPERATOR}))
        assert books.people.caller_of("t-3", Instant(0)) == Caller("node:n1", frozenset({Role.AGENT}), node="n1")
        books.people.revoke_token("t-2")
        assert books.people.caller_of("t-2", Instant(0)) is None


def test_the_last_policy_applied_is_the_current_one(store: SqlStore) -> None:
    with store.writing() as books:
        assert books.control.current_policy() is None
        books.control.add_policy(POLICY)
        books.control.add_policy(replace(POLICY, hash="ef"))
        assert books.control.current_policy() == replace(POLICY, hash="ef", seq=2)
        assert books.control.policies() == [replace(POLICY, hash="ef", seq=2), replace(POLICY, seq=1)]


def test_a_brake_is_put_on_and_off(store: SqlStore) -> None:
    pause = Pause(Brake.LAUNCH, "e-1", "maintenance", Instant(5))
    with store.writing() as books:
        books.control.put_pause(pause)
        books.control.put_pause(replace(pause, why="still"))
        assert books.control.pauses() == [replace(pause, why="still")]
        books.control.remove_pause(Brake.LAUNCH)
        assert books.control.pauses() == []


def test_stops_are_kept_as_long_as_a_rate_looks_at_them(store: SqlStore) -> None:
    old, new = Stop(Brake.RECLAIM, Instant(0), 4), Stop(Brake.PREEMPT, Instant(STOP_RATE_WINDOW_MS), 2)
    newest = replace(new, brake=Brake.RECLAIM, at=Instant(STOP_RATE_WINDOW_MS + 1))
    with store.writing() as books:
        books.control.add_stops([])
        books.control.add_stops([old])
        books.control.add_stops([new])
        assert books.control.stops(Instant(0)) == [old, new]
        books.control.add_stops([newest])
        assert books.control.stops(Instant(0)) == [new, newest]
        assert books.control.stops(newest.at) == [newest]
        books.control.clear_stops(Brake.PREEMPT)
        assert books.control.stops(Instant(0)) == [newest]


def test_commands_events_sandboxes_and_settings_are_kept(store: SqlStore) -> None:
    with stored(store) as books:
        books.control.add_command(COMMAND)
        assert books.control.command(COMMAND.id) == COMMAND
        assert books.control.command(CommandId("c-9")) is None
        books.control.add_events([EVENT, replace(EVENT, target="w-1")])
        first, second = replace(EVENT, seq=1), replace(EVENT, target="w-1", seq=2)
        assert books.control.events() == [second, first]
        assert books.control.events(target="launch") == [first]
        assert books.control.events(before_seq=2) == [first]
        assert books.control.events(limit=1) == [second]
        books.control.put_sandbox(replace(SANDBOX, extensions=0))
        books.control.put_sandbox(SANDBOX)
        assert books.control.sandbox(WORKLOAD.id) == SANDBOX
        assert books.control.sandbox(WorkloadId("w-9")) is None
        for at, known in ((7, 8), (9, 9)):
            books.control.note_served(WORKLOAD.id, Instant(at))
            assert books.control.sandbox(WORKLOAD.id) == replace(SANDBOX, active_at=Instant(known))
        books.control.put_setting("epoch", "1")
        books.control.put_setting("epoch", "2")
        assert (books.control.setting("epoch"), books.control.setting("none")) == ("2", None)


def test_what_a_failed_transaction_wrote_is_gone(store: SqlStore) -> None:
    with pytest.raises(ZeroDivisionError), stored(store):
        raise ZeroDivisionError
    with store.reading() as books:
        assert books.workloads.get(WORKLOAD.id) is None
        assert books.allowances.get(ALLOWANCE.id) is None


def test_a_read_sees_one_state_though_another_transaction_commits_meanwhile(store: SqlStore) -> None:
    with store.reading() as reader:
        assert reader.workloads.unfinished() == []
        with stored(store):
            pass
        assert reader.workloads.unfinished() == []
    with store.reading() as reader:
        assert reader.workloads.unfinished() == [WORKLOAD]
