"""What a start makes of what it is given, the first time and every time after."""

from pathlib import Path

import orjson
import pytest

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import alone, build
from scheduler.entrypoints.settings import EXAMPLES, Settings
from scheduler.entrypoints.simulated import open_simulation
from scheduler.entrypoints.simulation_state import STATE_KEY, packed_state, unpacked_state
from tests.plugins.migrated import open_migrated


def test_a_database_in_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        Unavailable, match=r"the database's folder .*file/data cannot be made: Not a directory"
    ) as refused:
        alone(Settings(database=f"sqlite:///{tmp_path}/file/data/allot.db"))
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE


def test_a_service_that_is_given_its_first_token_again_starts_again(tmp_path: Path) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path}/allot.db", bootstrap_token="the-first", stream=False)
    for _ in range(2):
        service = build(settings)
        with service.store.reading() as books:
            caller = books.people.caller_of(hash_of("the-first"), service.clock.now())
            events = [event for event in books.control.events(limit=50) if event.verb == "issue token"]
        service.store.close()
        assert caller is not None
        assert caller.roles == {Role.OPERATOR, Role.AUDITOR}
        assert len(events) == 1


def test_a_policy_under_which_nobody_can_submit_is_told_once_and_the_simulation_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path}/allot.db", policy=EXAMPLES / "small.yaml")
    service = build(settings)
    assert service.simulation is not None
    told = [service.simulation.submit_due(service.world, service.commands) for _ in range(3)]
    service.store.close()

    assert told == [0, 0, 0]
    assert caplog.text.count("no work is simulated: nobody can submit: no engineer has a tier of the policy") == 1


def test_a_start_with_another_policy_file_leaves_the_one_in_force_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may edit the file would go round the second person."""
    file = tmp_path / "policy.yaml"
    settings = Settings(database=f"sqlite:///{tmp_path}/allot.db", policy=file, stream=False)
    example = (EXAMPLES / "example.yaml").read_text(encoding="utf-8")
    in_force, told = [], []
    for text in (example, example, example.replace("two-persons", "one-person")):
        file.write_text(text, encoding="utf-8")
        caplog.clear()
        service = build(settings)
        in_force.append(service.world.require_policy().hash)
        told.append("is not the policy in force" in caplog.text)
        service.store.close()
    assert len(set(in_force)) == 1
    assert told == [False, False, True]
    file.unlink()
    build(settings).store.close()


def test_the_simulation_goes_on_from_what_was_kept_packed_or_as_earlier_versions_wrote_it() -> None:
    store = open_migrated()
    first = open_simulation(store, Settings())
    state = first.export()
    started = orjson.loads(state)["now"]
    for kept in (packed_state(state), state.decode()):
        with store.writing() as books:
            books.control.put_setting(STATE_KEY, kept)
        resumed = open_simulation(store, Settings())
        assert resumed.starts_at == first.starts_at
        assert orjson.loads(resumed.export())["now"] >= started
    store.close()
    assert unpacked_state(packed_state(state)) == state
    assert len(packed_state(state)) < len(state) / 2
