"""Published heads in a folder: on another machine, on a medium that is written once, or at least not the database."""

import os
import secrets
from pathlib import Path

from scheduler.domain.errors import Conflict, RefusalCode, Unavailable


class HeadFolder:
    """A HeadArchive. A file is written under another name, synced, and then linked to its own: it appears whole, and
    never over one that is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        known = self.get(name)
        if known is not None:
            require_same(name, known, content)
            return
        scratch = self._folder / f".{name}.{secrets.token_hex(8)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with scratch.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.chmod(0o444)
            os.link(scratch, self._folder / name)
            self._sync_folder()
        except FileExistsError:
            require_same(name, self.get(name) or b"", content)
        except OSError as error:
            raise _unavailable(self._folder, error) from error
        finally:
            scratch.unlink(missing_ok=True)

    def get(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(self._folder / name, error) from error

    def names(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unavailable(self._folder, error) from error

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def require_same(name: str, known: bytes, content: bytes) -> None:
    """Raises Conflict (`head-rewritten`) unless what lies there is what was to be put there."""
    if known != content:
        raise Conflict(
            f"{name} was published before with another content",
            code=RefusalCode.HEAD_REWRITTEN,
            expected="heads that extend what was published",
            remedy="run `allot audit verify` on this database and these heads: one of the two was changed or put back",
        )


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path}: {os.strerror(error.errno or 0)}",
        code=RefusalCode.HEADS_UNAVAILABLE,
        remedy="check the folder, and that the service may write to it",
    )
