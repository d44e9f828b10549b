"""docs/devcluster.md and the simulated kubelets know the same annotations."""

import re
from pathlib import Path

from scheduler.entrypoints.devcluster import simulated

_ANNOTATION = re.compile(r"simulated\.allot\.dev/[a-z]+(?:-[a-z]+)*")
_NAMED = {value for name, value in vars(simulated).items() if name.isupper() and not name.startswith("_")}


def test_every_annotation_that_is_named_is_documented() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "devcluster.md").read_text()
    assert set(_ANNOTATION.findall(document)) == _NAMED


def test_the_simulated_kubelets_read_every_annotation_that_is_named() -> None:
    sources = "".join(path.read_text() for path in sorted((Path(__file__).parent / "kubelets").glob("*.go")))
    # The provisioner of volumes has a name of the same form.
    assert set(_ANNOTATION.findall(sources)) - {"simulated.allot.dev/volume"} == _NAMED
