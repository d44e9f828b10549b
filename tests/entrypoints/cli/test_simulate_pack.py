"""`allot simulate pack`: one object with the keys that are promised, a table, and files that are broken."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.simulate_pack import PlacementName

NODES = "sn,cpu_milli,memory_mib,gpu,model\nn-1,16000,65536,2,T4\nn-2,16000,65536,2,G2\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\na,1000,1024,1,1000,T4\nb,1000,1024,1,470,\n"


def packed(tmp_path: Path, *options: str, pods: str = PODS) -> Result:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "pods.csv").write_text(pods)
    files = ["--nodes", str(tmp_path / "nodes.csv"), "--pods", str(tmp_path / "pods.csv")]
    return CliRunner().invoke(app, ["simulate", "pack", *files, *options])


@pytest.mark.parametrize("name", list(PlacementName))
def test_json_is_one_object_with_the_promised_keys(tmp_path: Path, name: str) -> None:
    result = packed(tmp_path, "--placement", name, "--inflate", "1.3", "--seed", "3", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told.pop("wall_seconds") >= 0
    assert 0 < told["allocated_percent"]["100"] <= told["allocated_percent"].pop("130") <= 100
    assert told["arrived"] > told["failed"] >= 0
    assert (told["gpu_capacity_milli"], told["placement"], told["seed"]) == (4000, name, 3)
    assert (told["version"], told["inflate"], told["simulated"]) == (1, 1.3, True)


def test_a_table_says_that_it_is_simulated(tmp_path: Path) -> None:
    result = packed(tmp_path, "--placement", "fgd")
    assert result.exit_code == 0
    assert "fgd (simulated)" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_broken_cell_is_named_and_nothing_stands_on_standard_output(tmp_path: Path) -> None:
    result = packed(tmp_path, "--json", pods=PODS + "c,many,1024,1,470,\n")
    assert result.exit_code == 1
    assert result.stdout == ""
    told = " ".join(result.stderr.split())
    assert "pods.csv:4: cpu_milli: found 'many'; expected a whole number" in told
    assert "leave out all that cannot be read with --skip-bad" in told


def test_bad_rows_are_left_out_counted_and_listed_where_asked_for(tmp_path: Path) -> None:
    broken = PODS + "c,many,1024,1,470,\nd,1000,1024,1,2000,\n"
    result = packed(tmp_path, "--skip-bad", "--json", pods=broken)
    assert result.exit_code == 0, result.output
    told, without = json.loads(result.stdout), json.loads(packed(tmp_path, "--json").stdout)
    assert told.pop("bad_rows") == {
        "count": 2,
        "rows": [
            f"{tmp_path}/pods.csv:4: cpu_milli: found 'many'; expected a whole number from 0 to 1099511627776",
            f"{tmp_path}/pods.csv:5: gpu_milli: found '2000'; expected a whole number from 1 to 1000",
        ],
    }
    assert told | {"wall_seconds": 0} == without | {"wall_seconds": 0}
    assert "2 bad rows left out" in result.stderr
    nodes = tmp_path / "broken.csv"
    nodes.write_text(NODES + "n-3,16000,65536,two,G2\n")
    again = packed(tmp_path, "--nodes", str(nodes), "--skip-bad", "--json")
    assert json.loads(again.stdout)["bad_rows"]["count"] == 1


def test_an_unknown_strategy_is_wrong_usage(tmp_path: Path) -> None:
    assert packed(tmp_path, "--placement", "luck").exit_code == 2


def test_what_is_no_number_is_told_so_and_no_bound(tmp_path: Path) -> None:
    told = packed(tmp_path, "--inflate", "nan")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "--inflate is 'nan'; expected a number\n" in told.stderr


def test_a_seed_that_no_json_can_carry_is_refused(tmp_path: Path) -> None:
    assert packed(tmp_path, "--seed", str(2**63), "--json").exit_code == 2
    assert json.loads(packed(tmp_path, "--seed", str(2**63 - 1), "--json").stdout)["seed"] == 2**63 - 1


def test_nodes_without_a_gpu_are_a_fault_of_their_file_and_no_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn-1,16000,65536,0,\n")
    (tmp_path / "pods.csv").write_text(PODS)
    files = ["--nodes", str(tmp_path / "nodes.csv"), "--pods", str(tmp_path / "pods.csv")]
    result = CliRunner().invoke(app, ["simulate", "pack", *files])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the nodes have no GPU" in result.stderr
    assert "[invalid-trace]" in result.stderr
