"""A thousand kill −9 of `allot serve` on the real control plane: what is lost, and what is charged twice.

python -m benchmarks.kills [--kills 1000] [--seed 1], which is `make nightly`, runs tests/e2e/test_killed.py with so many
deaths: at named points of the code and at any moment, from outside. It fails where a workload, a hold or a GPU-millisecond
is lost or counted twice; pods whose end nobody of ours saw are charged on evidence, never too much. Nodes are simulated.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.measured import keep

ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.kills")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        told = {
            "ALLOT_KILLS": str(asked.kills),
            "ALLOT_KILL_SEED": str(asked.seed),
            "ALLOT_KILLS_RESULT": str(result),
        }
        # A thousand deaths take a quarter of an hour and more, and a test of the suite ten minutes at most.
        test = [sys.executable, "-m", "pytest", "-q", "-n0", "--timeout=0", "tests/e2e/test_killed.py"]
        done = subprocess.run(test, cwd=ROOT, env={**os.environ, **told}, check=False)
        if done.returncode or not result.exists():
            print("failed, or left out for want of a control plane: nothing is kept", file=sys.stderr)
            return done.returncode or 1
        print(orjson.dumps(keep("kills", orjson.loads(result.read_bytes())), option=orjson.OPT_INDENT_2).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
