"""Whatever bytes a file holds: a policy or a list of problems, never another exception."""

import random
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.adapters.policy_files import check_people, check_policy
from scheduler.adapters.policy_files.document import BYTES_MAX, Mapping, Node, Scalar, Sequence, parse
from scheduler.adapters.policy_files.problems import Problems
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId

EXAMPLE = (Path(__file__).parents[2] / "policies/example.yaml").read_bytes()

_words = st.sampled_from(
    ["version", "gpu_classes", "tiers", "pools", "H100", "teams", "quotas", "1", "-1", "1e9", "true", "null", "~", ""]
)
_trees = st.recursive(
    _words | st.text(max_size=8) | st.integers(-(2**70), 2**70) | st.none() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=30,
)


def assert_a_policy_or_problems(source: bytes) -> None:
    policy, problems = check_policy(source, "fuzz.yaml")
    assert (policy is None) == bool(problems)
    lines = source.count(b"\n") + source.count(b"\r") + 2
    for problem in problems:
        assert 1 <= problem.mark.line <= lines
        assert problem.mark.column >= 1
        assert "\n" not in problem.message
    assert bool(check_people(source, EngineerId)[0]) != bool(check_people(source, EngineerId)[1])


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfe1\x00")
@example(b"\x00")
@example(b"%YAML 3.0\n---\n")
@example(b"? [a]\n: b")
def test_any_bytes_are_a_policy_or_problems(source: bytes) -> None:
    assert_a_policy_or_problems(source)


@given(st.text(alphabet="aAvV1:-[]{}*&!|>'\"#%@`~?, \n\t\r", max_size=80))
def test_any_yaml_punctuation_is_a_policy_or_problems(source: str) -> None:
    assert_a_policy_or_problems(source.encode())


@given(_trees)
@settings(deadline=None)
def test_any_tree_is_a_policy_or_problems(tree: object) -> None:
    assert_a_policy_or_problems(yaml.safe_dump(tree, allow_unicode=True).encode())


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_a_broken_example_is_a_policy_or_problems(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(EXAMPLE)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[at] = chance.randrange(256)
        else:
            del data[at : at + chance.randint(1, 40)]
    assert_a_policy_or_problems(bytes(data))


def _plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [_plain(item) for item in node.items]
        case Mapping():
            return {key.text: _plain(value) for key, value in node.entries}


@given(
    st.recursive(
        st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    )
)
def test_what_yaml_writes_is_read_back(tree: object) -> None:
    problems = Problems()
    # Quotes keep every scalar a text, so that the reader's tree is the writer's.
    root = parse(yaml.safe_dump(tree, default_style='"').encode(), problems)
    assert root is not None, problems.in_order()
    assert _plain(root) == tree


def test_the_largest_accepted_file_and_one_byte_more() -> None:
    padding = b"#" + b"x" * (BYTES_MAX - len(EXAMPLE) - 2) + b"\n"
    largest, too_large = check_policy(padding + EXAMPLE, "p")[0], check_policy(b"#" + padding + EXAMPLE, "p")
    assert isinstance(largest, Policy)
    assert [str(problem) for problem in too_large[1]] == [
        f"1:1: the file is too large; expected at most {BYTES_MAX} bytes"
    ]
