"""Results with the machine and the commit they were measured on, kept as JSON under benchmarks/results."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import orjson

from benchmarks import page


def circumstances() -> dict[str, Any]:
    """What a reader must know before comparing: processors, memory, Python, the commit and whether it was changed, and
    how busy the machine was."""
    return {
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "is_changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "load": round(os.getloadavg()[0], 1),
    }


def keep(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result, with its circumstances, to results/NAME.json and into the page; returns both together."""
    measured = {**result, "circumstances": circumstances()}
    page.RESULTS.mkdir(exist_ok=True)
    (page.RESULTS / f"{name}.json").write_bytes(orjson.dumps(measured, option=orjson.OPT_INDENT_2) + b"\n")
    page.write()
    return measured


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip()
