"""Other people's work in the words of a policy: when it comes in, and what is told of what had to be put otherwise."""

from collections import Counter
from pathlib import Path

import pytest

from scheduler.domain.cluster import Node
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName
from scheduler.simulation.replay.adopting import Adopter, Names
from scheduler.simulation.replay.openb_work import openb_work
from scheduler.simulation.replay.slurm_work import slurm_work
from scheduler.simulation.replay.submissions import Stream
from scheduler.simulation.traces.openb import read_pods
from scheduler.simulation.traces.sacct import read_jobs
from tests.simulation.replay.build import GPU, policy

HEADER = "JobID|User|Account|Partition|QOS|Submit|Eligible|Start|ElapsedRaw|TimelimitRaw|AllocTRES"
NINE = 1_767_603_600_000


def adopted(tmp_path: Path, *rows: str, header: str = HEADER) -> Stream:
    file = tmp_path / "sacct.txt"
    file.write_text("\n".join([header, *rows]), newline="")
    node = Node(NodeName("n"), GPU, 8, 1_000_000, 1_000_000)
    adopter = Adopter(policy(), [node], [], Names(), 1, 10)
    left_out: Counter[str] = Counter()
    jobs = read_jobs([file], "UTC")[0]
    return adopter.stream({}, slurm_work(jobs, left_out, adopter.changed), left_out)


def job(number: int = 1, *, eligible: str = "2026-01-05T09:00:00", qos: str = "urgent", limit: str = "60") -> str:
    """Submitted at nine, started at noon."""
    return "|".join(
        [
            *(str(number), "ada", "red", "gpu", qos, "2026-01-05T09:00:00", eligible, "2026-01-05T12:00:00"),
            *("60", limit, "gres/gpu:gpu=1"),
        ]
    )


def test_work_that_waited_for_other_work_comes_in_when_it_could_have_started(tmp_path: Path) -> None:
    def came_at(eligible: str) -> Instant:
        return adopted(tmp_path, job(eligible=eligible)).submissions[0].at

    assert came_at("2026-01-05T11:00:00") == NINE + 2 * MS_PER_HOUR
    assert came_at("Unknown") == NINE
    assert came_at("2026-01-05T08:00:00") == NINE, "requeued: its eligibility is of before"
    assert came_at("2026-01-05T13:00:00") == NINE + 3 * MS_PER_HOUR, "it started before it says that it could"


def test_names_that_the_policy_has_not_are_counted_and_told(tmp_path: Path) -> None:
    rows = [
        *(job(number, qos="high").replace("|red|", "|nlp|").replace("ada", f"user{number}") for number in range(3)),
        job(4, limit="Partition_Limit"),
        job(5, qos="").replace(":gpu=", ":k80="),
    ]
    assert adopted(tmp_path, *rows).source == {
        "put_otherwise": {
            "QOS or partition of no priority class: the default": 4,
            "engineer of an account that is no team or project: of a team by chance": 3,
            "gpu model unknown to the policy: any class": 1,
            "no time limit said: twice the run": 1,
        },
        "unknown_names": {
            "accounts": {"nlp": 3},
            "gpu_models": {"k80": 1},
            "priorities": {"gpu": 4, "high": 3},
        },
    }


def test_of_names_without_end_the_most_frequent_are_told(tmp_path: Path) -> None:
    rows = [job(number, qos=f"{number % 20:02}" + "x" * 500) for number in range(60)]
    told = adopted(tmp_path, *rows).source["unknown_names"]
    assert isinstance(told, dict)
    assert len(told["priorities"]) == 10
    assert max(map(len, told["priorities"])) == 40


def test_a_name_that_a_terminal_would_obey_is_told_in_letters(tmp_path: Path) -> None:
    told = adopted(tmp_path, job(qos="\x1b[31mred")).source["unknown_names"]
    assert told == {"priorities": {"'\\x1b[31mred'": 1, "gpu": 1}}


@pytest.mark.parametrize(
    "name", ["two\tparts", "two\xa0parts", "right-to-left \u202e", "next\x85line", "\x1b[31mred", "\ufeffx"]
)
def test_work_is_not_refused_for_a_name_that_the_service_would_not_take(tmp_path: Path, name: str) -> None:
    row = f"{name}|{job()}"
    (submission,) = adopted(tmp_path, row, header=f"JobName|{HEADER}").submissions
    assert submission.spec.name.isprintable()
    assert submission.spec.name.endswith("-1")


@pytest.mark.parametrize("share", ["gres/shard=4", "gres/shard:a100=2,cpu=4", "gres/mps=50"])
def test_shares_of_slurm_s_gpus_are_a_whole_one_on_each_node_and_counted(tmp_path: Path, share: str) -> None:
    rows = [
        job().replace("gres/gpu:gpu=1", f"{share},node=2"),
        job(2).replace("gres/gpu:gpu=1", "cpu=4,gres/shard=0"),
    ]
    stream = adopted(tmp_path, *rows)
    assert [(each.spec.pods, each.spec.pod.gpus) for each in stream.submissions] == [(2, 1)]
    assert stream.source["put_otherwise"] == {"share of a GPU: a whole one": 1}
    assert stream.left_out == {"asks for no GPU": 1}


def test_tasks_without_times_are_told_apart_from_those_that_never_ran(tmp_path: Path) -> None:
    file = tmp_path / "pods.csv"
    rows = ["undated,1000,1024,1,1000,,,", "waited,1000,1024,1,1000,5,,9", "runs,1000,1024,1,1000,5,6,"]
    columns = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,creation_time,scheduled_time,deletion_time"
    file.write_text("\n".join([columns, *rows]))
    left_out: Counter[str] = Counter()
    assert list(openb_work(read_pods(file), left_out, Counter())) == []
    assert left_out == {
        "nothing says when it came": 1,
        "never ran": 1,
        "still ran, and nothing says for how long": 1,
    }
