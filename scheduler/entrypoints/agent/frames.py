"""How readings come from the sampler to its parent: pickles behind their length, on a pipe that only they use.

The driver's library and whatever it loads may print to stdout; the pipe is another descriptor.
"""

import asyncio
import os
import pickle
import struct

from scheduler.metering.samples import Reading

_LENGTH = struct.Struct("=I")


def write_frame(pipe: int, reading: Reading) -> None:
    """Raises BrokenPipeError where the parent is gone."""
    body = pickle.dumps(reading)
    frame = memoryview(_LENGTH.pack(len(body)) + body)
    while frame:
        frame = frame[os.write(pipe, frame) :]


async def read_frame(stream: asyncio.StreamReader) -> Reading:
    """Raises IncompleteReadError where the sampler is gone."""
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    body = await stream.readexactly(length)
    reading = pickle.loads(body)  # noqa: S301  # written by our own child, on a pipe that nobody else has
    assert isinstance(reading, Reading), "the sampler sends nothing else"
    return reading
