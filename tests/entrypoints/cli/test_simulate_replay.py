"""`allot simulate replay`: what it prints, the same bytes every time, and what it refuses."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.entrypoints.cli.app import app
from tests.simulation.replay.build import POLICY
from tests.simulation.replay.test_draws import PRICES

POLICIES = Path(__file__).parents[3] / "policies"
TWO = ["--policy", str(POLICIES / "conservative.yaml"), "--policy", str(POLICIES / "generous.yaml")]
SMALL = ["--days", "1", "--workloads", "60", "--drain", "2h"]


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["simulate", "replay", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_it_prints_one_object_and_the_same_one_again() -> None:
    code, first, _ = run(*TWO, *SMALL, "--json")
    assert code == 0
    assert run(*TWO, *SMALL, "--json")[1] == first
    made = json.loads(first)
    assert (made["format"], made["version"], made["is_simulated"]) == ("allot-replay", 1, True)
    assert [policy["name"] for policy in made["policies"]] == ["conservative", "generous"]
    assert made["stream"]["submissions"] == 60
    assert run(*TWO, *SMALL, "--seed", "2", "--json")[1] != first


def test_a_table_compares_the_policies_in_eighty_columns() -> None:
    code, out, _ = run(*TWO, *SMALL)
    assert code == 0
    assert "utilisation" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_a_policy_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 2\n")
    code, _, err = run("--policy", str(broken))
    assert code == 1
    assert f"{broken}:1:" in err
    assert "[invalid-policy]" in err


def test_a_folder_s_policies_are_taken_without_its_people_and_prices(tmp_path: Path) -> None:
    for name in ("conservative.yaml", "people.yaml", "prices.yaml"):
        (tmp_path / name).write_text((POLICIES / name).read_text())
    code, out, _ = run("--policy", str(tmp_path), *SMALL, "--json")
    assert code == 0
    assert [policy["name"] for policy in json.loads(out)["policies"]] == ["conservative"]


def test_a_broken_row_is_named_or_left_out(tmp_path: Path) -> None:
    pods = tmp_path / "pods.csv"
    pods.write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
        "a,1000,1024,1,1000,,LS,Succeeded,0,3600,10\n"
        "b,1000,1024,one,1000,,LS,Succeeded,0,3600,10\n"
        "c,1000,1024,0,0,,LS,Succeeded,0,3600,10\n"
        "d,1000,1024,1,1000,,LS,Pending,0,3600,\n"
    )
    code, _, err = run(*TWO, "--pods", str(pods))
    assert code == 1
    assert f"{pods}:3: num_gpu" in err
    assert "[invalid-trace]" in err
    code, out, err = run(*TWO, "--pods", str(pods), "--skip-bad", "--json")
    assert code == 0
    stream = json.loads(out)["stream"]
    assert (stream["submissions"], stream["bad_rows"]["count"]) == (1, 1)
    assert stream["left_out"] == {"asks for no GPU": 1, "never ran": 1}
    assert f"{pods}:3: num_gpu" in err


def test_slurm_s_accounting_is_replayed(tmp_path: Path) -> None:
    sacct = tmp_path / "sacct.txt"
    sacct.write_text(
        "JobID|User|Account|QOS|Partition|State|Submit|Start|Elapsed|Timelimit|AllocTRES\n"
        "1|ada|research|urgent|gpu|COMPLETED|2026-01-05T09:00:00|2026-01-05T09:01:00|01:00:00|08:00:00|gres/gpu:a100=2\n"
        "1.batch|||||COMPLETED|2026-01-05T09:00:00|2026-01-05T09:01:00|01:00:00||\n"
        "2|bao|lighthouse|normal|h100|FAILED|2026-01-05T09:05:00|2026-01-05T09:06:00|00:30:00|2-00:00:00|gres/gpu=1\n"
        "3|bao|lighthouse|normal|cpu|COMPLETED|2026-01-05T09:05:00|2026-01-05T09:06:00|00:30:00|1:00:00|cpu=1\n"
        "4|bao|lighthouse|normal|h100|PENDING|2026-01-05T09:05:00|Unknown|00:00:00|1:00:00|\n"
    )
    code, out, _ = run(*TWO, "--sacct", str(sacct), "--json")
    assert code == 0
    made = json.loads(out)
    assert made["stream"]["submissions"] == 2
    assert made["stream"]["left_out"] == {"asks for no GPU": 2}
    first = made["policies"][0]
    assert first["submissions"]["ended"] == {"Completed": 1, "Failed": 1}
    assert set(first["wait"]["by_class"]) == {"standard", "urgent"}


def test_nodes_of_no_class_of_the_policy_are_refused_with_what_to_do(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,64000,262144,8,T4\nn2,64000,262144,0,\n")
    code, _, err = run(*TWO, *SMALL, "--nodes", str(nodes))
    assert code == 1
    assert "--gpu-class MODEL=CLASS" in err
    code, out, _ = run(*TWO, *SMALL, "--nodes", str(nodes), "--gpu-class", "T4=L40S", "--json")
    assert code == 0
    assert json.loads(out)["policies"][0]["cluster"] == {"nodes": 1, "gpus": 8, "gpus_by_class": {"L40S": 8}}


def test_a_cluster_is_described_in_groups_of_nodes(tmp_path: Path) -> None:
    nodes = tmp_path / "cluster.yaml"
    nodes.write_text(
        "version: 1\nnodes:\n"
        "  - {name: h100, count: 2, gpus: 8, cpus: 192, memory_gib: 2000,\n"
        "     labels: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}\n"
    )
    code, out, _ = run(*TWO, *SMALL, "--nodes", str(nodes), "--json")
    assert code == 0
    assert json.loads(out)["policies"][0]["cluster"]["gpus_by_class"] == {"H100": 16}
    nodes.write_text(
        "version: 1\nnodes:\n  - {name: h100, count: none, gpus: 8, cpus: 1, memory_gib: 1, labels: {}}\n"
    )
    code, _, err = run(*TWO, *SMALL, "--nodes", str(nodes))
    assert code == 1
    assert f"{nodes}:3:25: nodes[0].count" in err


def test_a_page_is_written_beside_what_is_printed(tmp_path: Path) -> None:
    page = tmp_path / "replay.html"
    code, out, _ = run(*TWO, *SMALL, "--json", "--html", str(page))
    assert code == 0
    assert json.loads(out)["format"] == "allot-replay"
    first = page.read_text(encoding="utf-8")
    assert first.startswith("<!doctype html>")
    run(*TWO, *SMALL, "--html", str(page))
    assert page.read_text(encoding="utf-8") == first


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    code, out, err = run(*TWO, *SMALL, "--html", str(tmp_path / "nowhere" / "replay.html"))
    assert (code, out) == (2, "")
    assert "cannot be written" in err
    (tmp_path / "taken").mkdir()
    assert run(*TWO, *SMALL, "--html", str(tmp_path / "taken"))[0] == 2


def test_a_page_takes_the_place_of_no_file_that_the_replay_reads(tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_bytes((POLICIES / "small.yaml").read_bytes())
    code, out, err = run("--policy", str(policy), *SMALL, "--html", str(tmp_path / "." / "mine.yaml"))
    assert (code, out) == (2, "")
    assert "the replay reads it" in " ".join(err.split())
    assert policy.read_bytes() == (POLICIES / "small.yaml").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_page_for_which_a_disk_is_full_takes_nothing_of_what_is_printed() -> None:
    code, out, err = run(*TWO, *SMALL, "--json", "--html", "/dev/full")
    assert code == 2
    assert json.loads(out)["format"] == "allot-replay"
    assert "/dev/full cannot be written" in " ".join(err.split())


def test_a_name_that_is_said_to_be_two_classes_is_refused() -> None:
    code, _, err = run(*TWO, *SMALL, "--gpu-class", "T4=L40S", "--gpu-class", "T4=A100")
    assert code == 2
    assert "--gpu-class: 'T4' is 'L40S', and 'A100', too" in " ".join(err.split())


def test_a_history_is_replayed_alone(tmp_path: Path) -> None:
    history, pods = tmp_path / "history.jsonl", tmp_path / "pods.csv"
    history.write_text('{"format":"allot-history","version":1}\n')
    pods.write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n")
    code, out, err = run(*TWO, "--history", str(history), "--pods", str(pods))
    assert (code, out) == (2, "")
    assert "does not go with" in err
    code, out, err = run(*TWO, "--history", str(history), "--people", str(POLICIES / "people.yaml"))
    assert (code, out) == (2, "")
    assert "which has its own work and people" in " ".join(err.split())
    assert run(*TWO, "--history", str(history), "--json")[0] == 0


def test_a_price_makes_hours_money(tmp_path: Path) -> None:
    code, out, _ = run(*TWO, *SMALL, "--price", "2.50 EUR", "--json")
    assert code == 0
    cost = json.loads(out)["policies"][0]["cost"]
    assert cost["money"]["currency"] == "EUR"
    assert abs(cost["money"]["amount_micros"] / 2_500_000 - cost["charged_standard_gpu_hours"]) < 0.01
    _, table, _ = run(*TWO, *SMALL, "--price", "2.50 EUR", "--html", str(tmp_path / "page.html"))
    whole = round(cost["money"]["amount_micros"] / 1_000_000)  # as on the page
    assert re.search(rf"^cost, EUR +{whole:,} ", table, re.MULTILINE)
    assert "cost in EUR" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert run(*TWO, *SMALL, "--price", "dear")[0] == 2


def test_what_never_starts_is_not_said_to_wait_for_no_time(tmp_path: Path) -> None:
    """`small` knows neither the teams nor the tiers of `conservative`: it refuses everything."""
    both = ["--policy", str(POLICIES / "conservative.yaml"), "--policy", str(POLICIES / "small.yaml")]
    page = tmp_path / "page.html"
    code, out, _ = run(*both, *SMALL, "--html", str(page), "--json")
    assert code == 0
    made = json.loads(out)
    assert made["policies"][1]["submissions"]["started"] == 0
    assert {row["mean_wait_change_ms"] for row in made["comparisons"][0]["by_class_and_tier"]} == {None}
    assert {each["wait_change_ms"] for each in made["comparisons"][0]["engineers"]} == {None}
    text = page.read_text(encoding="utf-8")
    assert "Under small, none of the work starts (" in text
    assert re.search(r"wait, median</td><td>[^<]+ s</td><td>–</td><td class=\"unit\"></td>", text)
    _, table, _ = run(*both, *SMALL)
    assert re.search(r"^wait, mean .* –$", table, re.MULTILINE)
    assert re.search(r"^slowdown, mean .* –$", table, re.MULTILINE)


def test_a_price_book_says_what_allowances_of_money_buy(tmp_path: Path) -> None:
    policy, page = tmp_path / "money.yaml", tmp_path / "page.html"
    granted = "allowance_gpu_hours: 0, allowances: {EUR: {amount: 5000}}"
    policy.write_text(POLICY.replace("allowance_gpu_hours: 1000", granted))
    book = tmp_path / "prices.yaml"
    book.write_text(PRICES)
    asked = ["--policy", str(policy), *SMALL]

    cost = json.loads(run(*asked, "--prices", str(book), "--json")[1])["policies"][0]["cost"]
    _, table, _ = run(*asked, "--prices", str(book), "--html", str(page))

    assert cost["in_units"]["EUR"]["granted"] == 200_000.0
    assert 0 < cost["in_units"]["EUR"]["charged"] < 200_000
    assert cost["charged_standard_gpu_hours"] == cost["overrun_standard_gpu_hours"]
    assert "charged, EUR" in table
    assert "charged in EUR" in page.read_text(encoding="utf-8")
    assert json.loads(run(*asked, "--json")[1])["policies"][0]["cost"]["in_units"] == {}
    assert run(*asked, "--prices", str(policy))[0] == 1


def test_the_page_in_docs_tells_of_every_key_of_the_object() -> None:
    page = (POLICIES.parent / "docs" / "simulate.md").read_text()
    made = json.loads(run(*TWO, *SMALL, "--json")[1])
    named = [*made, *made["policies"][0]]
    plain = {"format", "version", "is_simulated", "policies"}
    assert [
        key
        for key in named
        if key not in plain and f"`{key}" not in page and f".{key}`" not in page and f"`{key}[]`" not in page
    ] == []


def test_generous_uses_more_of_the_cluster_and_preempts_more_as_the_page_says() -> None:
    made = json.loads(run(*TWO, "--days", "2", "--busy", "1", "--drain", "2h", "--json")[1])
    conservative, generous = made["policies"]
    assert generous["utilisation"]["mean"] > conservative["utilisation"]["mean"]
    assert generous["wait"]["all"]["mean_ms"] < conservative["wait"]["all"]["mean_ms"]
    assert generous["preemptions"]["lost_gpu_hours"] > conservative["preemptions"]["lost_gpu_hours"]


def test_the_project_s_own_folder_of_policies_can_be_tried() -> None:
    code, out, err = run("--policy", str(POLICIES), "--days", "1", "--workloads", "10", "--drain", "1h", "--json")
    assert code == 0, err
    assert [policy["name"] for policy in json.loads(out)["policies"]] == sorted(
        file.stem for file in POLICIES.glob("*.yaml") if file.stem not in {"people", "prices"}
    )


def test_a_class_that_no_policy_has_is_refused_where_it_is_said() -> None:
    code, out, err = run(*TWO, *SMALL, "--gpu-class", "T4=L40", "--json")
    assert (code, out) == (2, "")
    assert "--gpu-class: 'L40' is no such class; expected one of A100, H100, L40S" in " ".join(err.split())
    code, out, err = run(*TWO, *SMALL, "--priority-class", "high=hurry", "--json")
    assert (code, out) == (2, "")
    assert "--priority-class: 'hurry' is no such class; expected one of" in " ".join(err.split())


def test_a_price_that_is_none_is_told_before_the_replay_not_after_it() -> None:
    """It would take hours: so many workloads are not even made first."""
    code, out, err = run(*TWO, "--days", "3660", "--workloads", "10000000", "--price", "2.50", "--json")
    assert (code, out) == (2, "")
    assert "--price" in err


def test_a_cluster_without_gpus_is_refused_in_words(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,64000,262144,0,\n")
    code, _, err = run(*TWO, *SMALL, "--nodes", str(nodes))
    assert code == 1
    assert "there is no node with GPUs" in " ".join(err.split())


def test_a_trace_without_work_is_told_without_days_and_without_an_empty_table(tmp_path: Path) -> None:
    sacct = tmp_path / "sacct.txt"
    sacct.write_text("JobID|Submit|Start|ElapsedRaw|AllocTRES\n")
    code, out, _ = run(*TWO, "--sacct", str(sacct))
    assert code == 0
    assert out.splitlines()[0] == "Simulated: 0 workloads of 0 engineers."
    assert "Nothing." not in out
    sacct.write_text(sacct.read_text() + "1|2026-01-05T09:00:00|2026-01-05T09:00:00|60|gres/gpu=1\n")
    assert run(*TWO, "--sacct", str(sacct))[1].startswith("Simulated: 1 workload of 1 engineer, 2026-01-05 to ")


def test_slices_of_slurm_s_gpus_are_whole_ones_and_counted(tmp_path: Path) -> None:
    sacct = tmp_path / "sacct.txt"
    rows = [
        f"{n}|2026-01-05T09:00:00|60|gres/gpu:{model}=2" for n, model in enumerate(("a100_3g.20gb", "a100", "1g.5gb"))
    ]
    sacct.write_text("\n".join(["JobID|Submit|ElapsedRaw|AllocTRES", *rows]))
    code, out, _ = run(*TWO, "--sacct", str(sacct), "--json")
    assert code == 0
    assert json.loads(out)["stream"]["source"]["put_otherwise"]["MIG slices: a whole GPU each"] == 2


def test_a_file_of_pods_that_is_not_there_is_no_wrong_number_of_pods() -> None:
    code, out, err = run(*TWO, "--pods", "nowhere.csv", "--json")
    assert (code, out) == (2, "")
    assert "[invalid-value]" in err


def test_tasks_that_two_files_tell_of_alike_are_one_and_others_of_the_same_name_are_not(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first.csv", "again.csv", "other.csv"))
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,creation_time,scheduled_time,deletion_time\n"
    first.write_text(f"{header}a,1000,1024,1,1000,0,0,600\n")
    again.write_bytes(first.read_bytes())
    other.write_text(f"{header}a,1000,1024,2,1000,0,0,600\n")
    files = [word for file in (first, again, other) for word in ("--pods", str(file))]
    code, out, _ = run("--policy", str(POLICIES / "generous.yaml"), *files, "--json")
    assert code == 0
    stream = json.loads(out)["stream"]
    assert stream["submissions"] == 2
    assert stream["left_out"] == {"task of which another file tells, too": 1}


def test_many_policies_stand_in_tables_below_each_other_and_none_is_cut_off(tmp_path: Path) -> None:
    names = [f"{letter}-policy-with-a-rather-long-name-of-2026" for letter in "abcde"]
    given = []
    for name in names:
        (tmp_path / f"{name}.yaml").write_text((POLICIES / "generous.yaml").read_text())
        given += ["--policy", str(tmp_path / f"{name}.yaml")]
    code, out, _ = run(*given, *SMALL)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    used = [re.findall(r"[0-9.]+ %", line) for line in out.splitlines() if line.startswith("utilisation ")]
    assert [len(each) for each in used] == [3, 2]
    assert len({percent for each in used for percent in each}) == 1
    assert [word[0] for line in out.splitlines() for word in line.split() if "-policy-with-" in word] == [
        *"abcde",  # of the figures
        *"abcde",  # of the waits by class
    ]


def test_what_a_policy_refuses_is_told_with_the_sentence_of_the_first() -> None:
    code, out, _ = run(*TWO[:2], "--policy", str(POLICIES / "small.yaml"), *SMALL)
    assert code == 0
    told = " ".join(out.split())
    assert re.search(
        r"unknown-team, first: your team '\w+' has no pool in the policy; expected one of everyone;", told
    )
