"""`make bench`: every benchmark in turn, each in a process of its own; what they measured is kept and in the page.

python -m benchmarks [NAME…] runs those named alone. One that fails stops no other; the exit status says so.
"""

import subprocess
import sys

from benchmarks.page import benchmarks

MORE = {"admission": ["--keep", "admission"]}
"""What a benchmark is told beside its name, so that its result is kept."""


def main(wanted: list[str]) -> int:
    names = list(benchmarks())
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    failed = [name for name in wanted or names if not _runs(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _runs(name: str) -> bool:
    print(f"== {name}", flush=True)
    return (
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *MORE.get(name, [])], check=False).returncode == 0
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
