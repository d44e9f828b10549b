"""The map of every GPU: each is drawn once, names what it should, and ten thousand stay a page."""

import re
from dataclasses import replace

import pytest

from scheduler.entrypoints.web.gpu_map import ColourBy, gpu_map
from scheduler.lifecycle.views.shapes import GpuView, NodeView
from tests.entrypoints.web.sample_cluster import cluster


def node(*gpus: GpuView, name: str = "g-001", accepts_work: bool = True) -> NodeView:
    return NodeView(name, "h100", gpus, accepts_work, sum(gpu.state == "free" for gpu in gpus), 0)


def busy(index: int, percent: int | None = 88, watts: int | None = 402, workload: str = "pretrain") -> GpuView:
    return GpuView(
        index, f"GPU-{index}", "busy", percent, watts, None, f"w-{workload}", workload, "Mara Lind", "research"
    )


def cells(svg: str) -> int:
    return sum(path.count("M") for path in re.findall(r' d="([^"]*)"', svg))


@pytest.mark.parametrize("colour_by", list(ColourBy))
@pytest.mark.parametrize("nodes", [0, 1, 100, 1250])
def test_every_gpu_is_drawn_once_and_counted_once(nodes: int, colour_by: ColourBy) -> None:
    view = cluster(nodes)
    drawn = gpu_map(view.nodes, colour_by)
    assert sum(cells(part.svg) for section in drawn.sections for part in section.nodes) == view.gpus
    assert sum(key.gpus for key in drawn.keys) == view.gpus
    assert sum(section.gpus for section in drawn.sections) == view.gpus


def test_hovering_names_the_gpus_the_workload_its_owner_and_the_watts_one_by_one() -> None:
    svg = gpu_map((node(busy(0), busy(1, 61, None), busy(3)),), ColourBy.UTILISATION).sections[0].nodes[0].svg
    assert "<title>g-001, GPU 0–1, 3 (h100)\npretrain · Mara Lind, research\n88 61 88 %\n402 – 402 W</title>" in svg


def test_an_absent_reading_is_a_dash_and_its_own_shape_never_zero() -> None:
    unread = replace(busy(0, None, None), state="unknown")
    drawn = gpu_map((node(unread),), ColourBy.UTILISATION)
    svg = drawn.sections[0].nodes[0].svg
    assert 'class="unknown"' in svg
    assert "0 %" not in svg
    assert [(key.label, key.gpus) for key in drawn.keys] == [("held idle", 0), ("in use, not read", 1)]


def test_a_name_from_outside_is_escaped() -> None:
    svg = gpu_map((node(busy(0, workload="</title><script>x")),), ColourBy.UTILISATION).sections[0].nodes[0].svg
    assert "<script" not in svg
    assert "&lt;script&gt;x" in svg


def test_owners_beyond_seven_share_one_colour() -> None:
    gpus = [replace(busy(index), owner=f"person {index // 2:02d}") for index in range(20)]
    drawn = gpu_map((node(*gpus),), ColourBy.OWNER)
    assert [key.gpus for key in drawn.keys] == [2] * 7 + [6]
    assert drawn.keys[-1].label == "everyone else"


def test_where_no_owner_may_be_seen_the_team_is() -> None:
    drawn = gpu_map((node(replace(busy(0), owner="")),), ColourBy.OWNER)
    assert [key.label for key in drawn.keys] == ["research"]


def test_idle_drained_and_free_differ_in_shape_and_not_in_colour_alone() -> None:
    paths = set()
    for state in ("idle", "drained", "unknown"):
        svg = gpu_map((node(GpuView(0, "", state)),), ColourBy.STATE).sections[0].nodes[0].svg
        (path,) = re.findall(r' d="([^"]*)"', svg)
        assert f'class="{state}"' in svg
        paths.add(path)
    assert len(paths) == 3


def test_a_large_cluster_is_drawn_in_small_cells() -> None:
    assert not gpu_map(cluster(100).nodes, ColourBy.UTILISATION).is_dense
    assert gpu_map(cluster(1250).nodes, ColourBy.UTILISATION).is_dense
