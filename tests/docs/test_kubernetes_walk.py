"""The README's walk on Kubernetes and what docs/devcluster.md adds to it, typed as they stand, on a real control plane."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import default_nodes
from tests.docs.markdown import ROOT, fences, read, section
from tests.docs.walking import ON_KUBERNETES, command_of, serving

PAGE = ROOT / "docs" / "devcluster.md"
PORT = "8412"


@pytest.mark.controlplane
def test_every_command_of_the_readme_does_on_kubernetes_what_it_says(
    new_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    walked = section(read(ROOT / "README.md"), ON_KUBERNETES)
    plane = new_control_plane(Options(default_nodes()))
    cluster = {
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": f"{plane.kubectl.parent}:{os.environ['PATH']}",
        "ALLOT_BOOTSTRAP_TOKEN": command_of(walked, "export ALLOT_BOOTSTRAP_TOKEN").partition("=")[2],
    }
    for command in _preparing(walked):
        subprocess.run(["bash", "-c", command], cwd=ROOT, env=os.environ | cluster, check=True)
    with serving(command_of(walked, "allot serve"), PORT, tmp_path, **cluster) as walk:
        assert walk.follow(walked) > 10
        assert walk.follow(read(PAGE)) > 2


def _preparing(text: str) -> list[str]:
    """What is done to the cluster before the service starts."""
    (fence,) = (fence for fence in fences(text) if "allot serve" in fence.text)
    return [line for line in fence.text.splitlines() if line.startswith("kubectl ")]
