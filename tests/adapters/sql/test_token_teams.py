"""The migration that seals holds of tokens and names their teams, over a database that was filled before it."""

import shutil
from contextlib import closing
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine

from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.migrations.versions import v0019_token_teams
from scheduler.finance.proving.findings import FindingCode
from tests.adapters.sql.tampering import Original, codes, intruder, look

OF_SEALS = {FindingCode.ROW_UNSEALED, FindingCode.ROW_CHANGED}


def test_holds_of_tokens_from_before_they_were_sealed_are_sealed_as_they_stand(
    original: Original, tmp_path: Path
) -> None:
    database = tmp_path / "old.db"
    shutil.copy(original.database, database)
    with closing(intruder(database)) as connection:
        connection.execute("DELETE FROM heads")
        assert connection.execute("DELETE FROM seals WHERE relation = 'token_holds'").rowcount == 9
        assert codes(look(database, tmp_path / "none")) & OF_SEALS == {FindingCode.ROW_UNSEALED}
        connection.execute("ALTER TABLE token_holds DROP COLUMN team")
    engine = create_engine(parse(f"sqlite:///{database}"))
    with engine.begin() as opened, Operations.context(MigrationContext.configure(opened)):
        v0019_token_teams.upgrade()
        assert set(opened.exec_driver_sql("SELECT team FROM token_holds")) == {(None,)}
    engine.dispose()
    assert codes(look(database, tmp_path / "none")) & OF_SEALS == set()
