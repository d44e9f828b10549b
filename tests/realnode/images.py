"""Images for the real node: docker archives of one static busybox, made here, pulled from nowhere."""

import hashlib
import io
import shutil
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import orjson

PAUSE = "registry.example/pause:1"
"""What holds a pod's namespaces open."""

_INTERPRETER = 3
_APPLETS = ("cat", "date", "httpd", "ls", "mkdir", "mv", "sh", "sleep", "touch", "true", "wget")


def write_archive(path: Path, name: str, command: Sequence[str] = ("/bin/sh",)) -> None:
    """As `docker save` writes one image: a manifest, its configuration, and one layer."""
    layer = _layer()
    configuration = orjson.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created_by": "allot's tests"}],
        }
    )
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, "config.json", configuration)
        _add(archive, "layer.tar", layer)
        _add(archive, "manifest.json", orjson.dumps(manifest))


def busybox() -> Path | None:
    """The program, where it is there and needs no library of the system."""
    found = shutil.which("busybox")
    return Path(found) if found is not None and _is_static(Path(found).read_bytes()) else None


def _is_static(program: bytes) -> bool:
    """A 64-bit ELF without a header that names an interpreter (PT_INTERP)."""
    if program[:5] != b"\x7fELF\x02":
        return False
    (headers_at,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = (struct.unpack_from("<I", program, headers_at + index * size)[0] for index in range(count))
    return _INTERPRETER not in kinds


def _layer() -> bytes:
    program = busybox()
    assert program is not None
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as layer:
        for folder in ("bin", "tmp", "etc", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            layer.addfile(entry)
        _add(layer, "bin/busybox", program.read_bytes(), 0o755)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
        _add(layer, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    return into.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
