"""Other people's work in the words of a policy: when it comes in, and what is told of what had to be put otherwise."""

from collections import Counter
from pathlib import Path

from scheduler.domain.cluster import Node
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName
from scheduler.simulation.replay.adopting import Adopter, Names
from scheduler.simulation.replay.slurm_work import slurm_work
from scheduler.simulation.replay.submissions import Stream
from scheduler.simulation.traces.sacct import read_jobs
from tests.simulation.replay.build import GPU, policy

HEADER = "JobID|User|Account|Partition|QOS|Submit|Eligible|Start|ElapsedRaw|TimelimitRaw|AllocTRES"
NINE = 1_767_603_600_000


def adopted(tmp_path: Path, *rows: str) -> Stream:
    file = tmp_path / "sacct.txt"
    file.write_text("\n".join([HEADER, *rows]))
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
