"""docs/devcluster.md and the stages know the same annotations."""

import re
from pathlib import Path

from scheduler.entrypoints.devcluster import simulated

_ANNOTATION = re.compile(r"simulated\.allot\.dev/[a-z]+(?:-[a-z]+)*")
_NAMED = {value for name, value in vars(simulated).items() if name.isupper() and not name.startswith("_")}


def test_every_annotation_that_is_named_is_documented() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "devcluster.md").read_text()
    assert set(_ANNOTATION.findall(document)) == _NAMED


def test_the_stages_read_every_annotation_that_is_named() -> None:
    # The provisioner of volumes has a name of the same form.
    assert set(_ANNOTATION.findall(simulated.stages())) - {"simulated.allot.dev/volume"} == _NAMED
