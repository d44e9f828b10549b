"""What a start makes of what it is given, the first time and every time after."""

from pathlib import Path

from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.settings import Settings


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
