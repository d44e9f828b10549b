"""The runner's writes to an apiserver that is too busy to answer at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from benchmarks.admission import writes as writes_module
from benchmarks.admission.writes import TRIES_MAX, Writes
from scheduler.entrypoints.devcluster.client import ApiRefused

BUSY = "500 Internal Server Error"
CLOSED = ""


@asynccontextmanager
async def apiserver(
    answers: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Writes, list[str]]]:
    """It gives these answers in turn, and the last one from then on; with what it was asked."""
    monkeypatch.setattr(writes_module, "AGAIN_SECONDS", 0.0)
    asked: list[str] = []

    served: list[asyncio.Task[None]] = []

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.partition("Content-Length: ")[2].partition("\r\n")[0]))
            asked.append(head.partition(" HTTP")[0])
            answer = answers[min(len(asked), len(answers)) - 1]
            if answer == CLOSED:
                return
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await answer_all(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plain: ssl.SSLContext = None  # type: ignore[assignment]  # without TLS
    async with server:
        async with Writes("127.0.0.1", port, plain, "token", 2) as writes:
            yield writes, asked
        await asyncio.gather(*served)


@pytest.mark.parametrize("first", [BUSY, "429 Too Many Requests", CLOSED])
async def test_a_write_that_a_busy_apiserver_refuses_is_sent_again(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with apiserver([first, "200 OK"], monkeypatch) as (writes, asked):
        await writes.send("PATCH", "/jobs/a/status", {})
    assert asked == ["PATCH /jobs/a/status"] * 2


async def test_a_job_that_the_try_before_had_made_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with apiserver([BUSY, "409 Conflict"], monkeypatch) as (writes, asked):
        await writes.send("POST", "/jobs", {})
    assert len(asked) == 2


@pytest.mark.parametrize("answer", ["409 Conflict", "422 Unprocessable Entity"])
async def test_what_is_wrong_with_a_write_itself_is_told_at_once(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with apiserver([answer], monkeypatch) as (writes, asked):
        with pytest.raises(ApiRefused, match=answer[:3]):
            await writes.send("POST", "/jobs", {})
    assert len(asked) == 1


async def test_an_apiserver_that_stays_busy_is_told_of_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with apiserver([BUSY], monkeypatch) as (writes, asked):
        with pytest.raises(ApiRefused, match="500"):
            await writes.send("POST", "/jobs", {})
    assert len(asked) == TRIES_MAX
