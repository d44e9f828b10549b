"""The walk in docs/devcluster.md, typed as it stands, on a real control plane of its own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import default_nodes
from tests.docs.markdown import ROOT, fences, read
from tests.docs.walking import command_of, serving, steps_of

PAGE = ROOT / "docs" / "devcluster.md"
PORT = "8412"


@pytest.mark.controlplane
def test_every_command_of_the_walk_does_on_kubernetes_what_the_page_says(
    new_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    assert len(list(steps_of(PAGE))) > 12
    plane = new_control_plane(Options(default_nodes()))
    cluster = {
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": f"{plane.kubectl.parent}:{os.environ['PATH']}",
        "ALLOT_BOOTSTRAP_TOKEN": command_of(PAGE, "export ALLOT_BOOTSTRAP_TOKEN").partition("=")[2],
    }
    for command in _preparing():
        subprocess.run(["bash", "-c", command], cwd=ROOT, env=os.environ | cluster, check=True)
    with serving(command_of(PAGE, "allot serve"), PORT, tmp_path, **cluster) as walk:
        walk.follow(PAGE)


def _preparing() -> list[str]:
    """What the page has done to the cluster before the service starts."""
    (fence,) = (fence for fence in fences(read(PAGE)) if "allot serve" in fence.text)
    return [line for line in fence.text.splitlines() if line.startswith("kubectl ")]
