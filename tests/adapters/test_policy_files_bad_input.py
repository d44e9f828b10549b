"""Every sort of bad policy file is refused with its place, what was found and what was expected."""

import pytest

from scheduler.adapters.policy_files import check_policy, read_policy
from scheduler.domain.errors import InvalidInput, RefusalCode

HEAD = """\
version: 1
gpu_classes:
  H100: {weight_per_mille: 1000, node_selector: {model: H100}}
  A100: {weight_per_mille: 600, node_selector: {model: A100}}
priority_classes:
  standard: {value: 500}
tiers:
  senior: {allowance_gpu_hours: 400}
pools:
  research:
    teams: [research]
    cohort: company
    quotas: {H100: {nominal_gpus: 8}}
cohorts:
  company: {}
"""
LINES = HEAD.count("\n")


def problems_of(source: str | bytes) -> list[str]:
    policy, problems = check_policy(source, "p.yaml")
    assert policy is None
    return [str(problem) for problem in problems]


def test_the_base_of_these_tests_is_itself_a_policy() -> None:
    assert check_policy(HEAD, "p.yaml")[1] == ()


NOT_A_POLICY: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "1:1: the file is empty; expected a mapping of keys to values"),
    "only comments": ("# nothing\n", "1:1: the file is empty; expected a mapping of keys to values"),
    "a null": ("~", "1:1: the file is empty; expected a mapping of keys to values"),
    "ten megabytes": (b"#" * 10_000_000, "1:1: the file is too large; expected at most 1000000 bytes"),
    "not UTF-8": (b"version: 1\nna\xffme: 2", "2:3: byte 0xff is not UTF-8; expected a text file"),
    "a control character": ("version: 1\na: \x07", "2:4: the character U+0007 cannot stand in YAML"),
    "an unclosed list": (
        "a: [1",
        "2:1: not YAML: while parsing a flow sequence, did not find expected ',' or ']' (it begins in line 1)",
    ),
    "a line that is indented otherwise": (
        "a:\n   b: 1\n    c: 2\n",
        "3:6: not YAML: mapping values are not allowed in this context (is it indented as the lines before it?)",
    ),
    "a tab": (
        "a:\n\tb: 1",
        "2:1: not YAML: while scanning for the next token, found character that cannot start any token (a tab; YAML is "
        "indented by blanks)",
    ),
    "two documents": ("version: 1\n---\nversion: 1\n", "2:1: a second document starts here; expected one per file"),
    "an anchor": ("a: &x [1]\n", "1:4: found the anchor &x; expected values in full"),
    "an alias": ("a: *x\n", "1:4: found the alias *x; expected values in full"),
    "a merge": ("<<: *x\n", "1:5: found the alias *x; expected values in full"),
    "a tag": (
        "a: !!python/name:os.system x\n",
        "1:4: found the tag tag:yaml.org,2002:python/name:os.system; expected a value without a tag",
    ),
    "a collection as key": ("[a]: 1\n", "1:1: found a collection as a key; expected a name"),
    "thirteen levels": ("[" * 13, "1:13: nested more than 12 levels deep; expected fewer"),
}


@pytest.mark.parametrize("case", NOT_A_POLICY)
def test_a_file_that_is_no_policy_is_refused(case: str) -> None:
    source, message = NOT_A_POLICY[case]
    assert problems_of(source) == [message]


def test_a_list_and_a_word_are_no_policies() -> None:
    for source, seen in (("- 1", "a list"), ("hello", '"hello"')):
        assert problems_of(source)[0].startswith(
            f"1:1: the file: found {seen}; expected a mapping with the keys version,"
        )


def test_anchors_that_explode_are_refused_before_anything_is_built() -> None:
    laughs = "a0: &a0 [lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
    )
    assert problems_of(laughs) == ["1:5: found the anchor &a0; expected values in full"]


AMOUNT = "a whole number from 0 to 1000000000 (standard GPU-hours)"
AMOUNTS = {
    "negative": ("-5", '"-5"'),
    "just too large": ("1000000001", '"1000000001"'),
    "2^63 - 1": ("9223372036854775807", '"9223372036854775807"'),
    "a thousand digits": ("9" * 1000, f'"{"9" * 57}…"'),
    "a fraction": ("8.5", '"8.5"'),
    "a whole float": ("8.0", '"8.0"'),
    "an exponent": ("1e3", '"1e3"'),
    "infinite": (".inf", '".inf"'),
    "hexadecimal": ("0x10", '"0x10"'),
    "octal": ("010", '"010"'),
    "with underscores": ("1_000", '"1_000"'),
    "sexagesimal": ("1:30", '"1:30"'),
    "with a sign": ("+5", '"+5"'),
    "a boolean": ("true", '"true"'),
    "quoted": ('"400"', '"400"'),
    "empty": ("", "nothing"),
    "null": ("null", "nothing"),
    "with its unit": ("400h", '"400h"'),
    "other digits": ("٤٠", '"٤٠"'),
    "a list": ("[400]", "a list"),
    "a mapping": ("{hours: 400}", "a mapping"),
}


@pytest.mark.parametrize("case", AMOUNTS)
def test_an_amount_is_a_whole_number_in_plain_digits(case: str) -> None:
    written, seen = AMOUNTS[case]
    source = HEAD.replace("allowance_gpu_hours: 400", f"allowance_gpu_hours: {written}")
    assert problems_of(source) == [f"8:33: tiers.senior.allowance_gpu_hours: found {seen}; expected {AMOUNT}"]


BROKEN_RULES: dict[str, tuple[str, str, str]] = {
    "a level that every cluster has": (
        "cohorts:\n  company: {}\n",
        "cohorts:\n  company: {}\ntopology: {node: kubernetes.io/hostname}\n",
        "16:1: topology.node: found a level that every cluster has; expected names of the levels above it",
    ),
    "one label for two levels": (
        "cohorts:\n  company: {}\n",
        "cohorts:\n  company: {}\ntopology: {block: place, rack: place}\n",
        '16:1: topology: found the label "place" for two levels; expected a label for each level',
    ),
    "no GPU at all": (
        "weight_per_mille: 1000",
        "weight_per_mille: 0",
        '3:28: gpu_classes.H100.weight_per_mille: found "0"; expected a whole number from 1 to 20000 (per mille)',
    ),
    "a key with a letter that looks like another": (
        "H100: {weight_per_mille",
        "H100: {w\u0435ight_per_mille",
        '3:10: gpu_classes.H100: found the unknown key "w\u0435ight_per_mille" (with the character U+0435) '
        '(did you mean "weight_per_mille"?); '
        "expected one of weight_per_mille, node_selector, resource, tolerates",
    ),
    "a project that nobody could name": (
        "cohorts:\n",
        "projects:\n  personal: {team: research}\ncohorts:\n",
        "15:13: projects.personal: found the name of work that is for no project; expected another name",
    ),
    "an unknown key": (
        "weight_per_mille: 1000",
        "wieght_per_mille: 1000",
        '3:10: gpu_classes.H100: found the unknown key "wieght_per_mille" (did you mean "weight_per_mille"?); '
        "expected one of weight_per_mille, node_selector, resource, tolerates",
    ),
    "a key twice": (
        "weight_per_mille: 1000",
        "weight_per_mille: 1000, weight_per_mille: 900",
        '3:34: the key "weight_per_mille" stands twice, first in line 3; expected it once',
    ),
    "a name twice": (
        "  A100: {",
        "  H100: {",
        '4:3: the key "H100" stands twice, first in line 3; expected it once',
    ),
    "a missing key": (
        "{value: 500}",
        "{preemptible: true}",
        "6:13: priority_classes.standard.value: found nothing; expected a whole number from -1000000000 to 1000000000",
    ),
    "an unknown priority class": (
        "{allowance_gpu_hours: 400}",
        "{allowance_gpu_hours: 400, priority_classes: [standrad]}",
        '8:57: tiers.senior.priority_classes[0]: found the unknown name "standrad" (did you mean "standard"?); '
        "expected a name from priority_classes: standard",
    ),
    "an unknown GPU class": (
        "quotas: {H100:",
        "quotas: {B300:",
        '13:14: pools.research.quotas: found the unknown name "B300"; expected a name from gpu_classes: A100, H100',
    ),
    "an unknown cohort": (
        "cohort: company",
        "cohort: firm",
        '12:13: pools.research.cohort: found the unknown name "firm"; expected a name from cohorts: company',
    ),
    "an unknown team": (
        "  company: {}\n",
        "  company: {}\nprojects:\n  atlas: {team: reserch}\n",
        '17:17: projects.atlas.team: found the unknown name "reserch" (did you mean "research"?); '
        "expected a name from the pools' teams: research",
    ),
    "an unknown default class": (
        "version: 1\n",
        "version: 1\ndefault_priority_class: std\n",
        '2:25: default_priority_class: found the unknown name "std"; expected a name from priority_classes: standard',
    ),
    "a team in two pools": (
        "cohorts:\n",
        "  second:\n    teams: [research]\n    quotas: {A100: {nominal_gpus: 1}}\ncohorts:\n",
        "15:5: pools.second.teams: found the team research, which pool research has already; "
        "expected each team in one pool",
    ),
    "a cohort that is its own parent": (
        "company: {}",
        "company: {parent: company}",
        "15:13: cohorts.company.parent: found the cycle company → company; expected a tree of cohorts",
    ),
    "a cycle of cohorts": (
        "company: {}",
        "company: {parent: b}\n  b: {parent: c}\n  c: {parent: company}",
        "15:13: cohorts.company.parent: found the cycle company → b → c → company; expected a tree of cohorts",
    ),
    "lending more than there is": (
        "{nominal_gpus: 8}",
        "{nominal_gpus: 8, lending_limit_gpus: 9}",
        "13:38: pools.research.quotas.H100.lending_limit_gpus: found 9; expected at most the nominal quota, 8",
    ),
    "a lender without a cohort": (
        "    cohort: company\n    quotas: {H100: {nominal_gpus: 8}}",
        "    quotas: {H100: {nominal_gpus: 8, borrowing_limit_gpus: 1}}",
        "12:38: pools.research.quotas.H100.borrowing_limit_gpus: found a limit in a pool without a cohort; "
        "expected a cohort",
    ),
    "a cohort that lends to nobody": (
        "company: {}",
        "company: {quotas: {H100: {nominal_gpus: 4, lending_limit_gpus: 1}}}",
        "15:46: cohorts.company.quotas.H100.lending_limit_gpus: found a limit in a cohort without a parent; "
        "expected a parent",
    ),
    "a cohort's quota of an unknown class": (
        "company: {}",
        "company: {quotas: {B200: {nominal_gpus: 4}}}",
        '15:22: cohorts.company.quotas: found the unknown name "B200"; expected a name from gpu_classes: A100, H100',
    ),
    "borrowing by preemption without reclaim": (
        "    cohort: company\n",
        "    cohort: company\n    reclaim_within_cohort: Never\n    borrow_within_cohort: LowerPriority\n",
        "14:5: pools.research.borrow_within_cohort: found LowerPriority beside reclaim_within_cohort: Never; "
        "expected Never, or another reclaim_within_cohort",
    ),
    "a threshold of nothing": (
        "    cohort: company\n",
        "    cohort: company\n    borrow_threshold: 3\n",
        "13:5: pools.research.borrow_threshold: found a threshold where nothing is borrowed by preemption; "
        "expected borrow_within_cohort: LowerPriority beside it",
    ),
    "a misspelt word": (
        "    cohort: company\n",
        "    cohort: company\n    order: fair_share\n",
        '13:12: pools.research.order: found "fair_share" (did you mean "fair-share"?); '
        "expected one of pace, fair-share, fifo",
    ),
    "a slice of a whole hold": (
        "{value: 500}",
        "{value: 500, slice_minutes: 5}",
        "6:26: priority_classes.standard.slice_minutes: found a slice where the whole time limit is held; "
        "expected hold: rolling beside it, or no slice",
    ),
    "a minimum runtime in two units": (
        "{value: 500}",
        "{value: 500, minimum_runtime_minutes: 1, minimum_runtime_seconds: 60}",
        "6:54: priority_classes.standard.minimum_runtime_seconds: found a minimum runtime beside "
        "minimum_runtime_minutes; expected one of the two",
    ),
    "a capped rollover without a cap": (
        "{allowance_gpu_hours: 400}",
        "{allowance_gpu_hours: 400, rollover: capped}",
        "8:38: tiers.senior.rollover: found a capped rollover without a cap; expected rollover_cap_gpu_hours beside it",
    ),
    "yes for true": (
        "{value: 500}",
        "{value: 500, preemptible: yes}",
        '6:39: priority_classes.standard.preemptible: found "yes"; expected true or false',
    ),
    "a class that swallows another": (
        "node_selector: {model: A100}",
        "node_selector: {}",
        "4:33: gpu_classes.A100.node_selector: found a selector that also takes every node of H100; "
        "expected selectors that tell the classes of one resource apart",
    ),
    "twin classes": (
        "node_selector: {model: A100}",
        "node_selector: {model: H100}",
        "3:34: gpu_classes.H100.node_selector: found a selector that also takes every node of A100; "
        "expected selectors that tell the classes of one resource apart",
    ),
    "an unknown time zone": (
        "version: 1\n",
        "version: 1\ntime_zone: Europe/Atlantis\n",
        '2:1: time_zone: found "Europe/Atlantis"; expected a zone of the IANA time zone database, such as Europe/Berlin',
    ),
    "a zone outside the database": (
        "version: 1\n",
        "version: 1\ntime_zone: ../../etc/passwd\n",
        '2:12: time_zone: found "../../etc/passwd"; expected a time zone such as Europe/Berlin',
    ),
    "a later version": ("version: 1\n", "version: 2\n", '1:10: version: found "2"; expected 1'),
    "an empty section": (
        "tiers:\n  senior: {allowance_gpu_hours: 400}\n",
        "tiers: {}\n",
        "7:8: tiers: found an empty mapping; expected a mapping of tiers with at least 1",
    ),
    "no teams": (
        "teams: [research]",
        "teams: []",
        "11:12: pools.research.teams: found an empty list; expected a list of at least 1, each a name of up to 63 "
        "letters, digits, '-', '_' or '.', beginning and ending with a letter or digit",
    ),
    "a team twice": (
        "teams: [research]",
        "teams: [research, research]",
        '11:23: pools.research.teams[1]: found "research" again; expected each value once',
    ),
    "a name that no label can hold": (
        "  senior: {",
        "  senior engineer: {",
        "8:3: tiers: found \"senior engineer\"; expected a name of up to 63 letters, digits, '-', '_' or '.', "
        "beginning and ending with a letter or digit",
    ),
    "a default image that is not allowed": (
        "version: 1\n",
        "version: 1\nsandbox: {images: [a/*], default_image: b/c}\n",
        '2:26: sandbox.default_image: found "b/c"; expected one image that the list allows: a/*',
    ),
    "a star in the middle": (
        "version: 1\n",
        "version: 1\nimages: [a*b]\n",
        '2:10: images[0]: found "a*b"; expected an image, a trailing * matching any ending',
    ),
    "a warning after the deed": (
        "version: 1\n",
        "version: 1\nidle_rules: {rest: {window_minutes: 20}}\n",
        "2:20: idle_rules.rest.warn_at_minutes: found 15 and 25; "
        "expected two, in order, both before the window's end at 20",
    ),
    "warnings out of order": (
        "version: 1\n",
        "version: 1\nidle_rules: {rest: {warn_at_minutes: [20, 10]}}\n",
        "2:21: idle_rules.rest.warn_at_minutes: found 20 and 10; "
        "expected two, in order, both before the window's end at 30",
    ),
    "an unlimited limit": (
        "version: 1\n",
        "version: 1\nstop_rates: {idle: {rate: unlimited, floor_gpus: 2}}\n",
        "2:38: stop_rates.idle.floor_gpus: found a bound beside rate: unlimited; expected one or the other",
    ),
}


@pytest.mark.parametrize("case", BROKEN_RULES)
def test_a_broken_rule_is_refused_with_its_place(case: str) -> None:
    right, wrong, message = BROKEN_RULES[case]
    assert right in HEAD
    assert problems_of(HEAD.replace(right, wrong, 1)) == [message]


def test_a_missing_section_is_named() -> None:
    assert problems_of("version: 1\n") == [
        "1:1: gpu_classes: found nothing; expected a mapping of GPU classes with at least 1",
        "1:1: pools: found nothing; expected a mapping of pools with at least 1",
        "1:1: priority_classes: found nothing; expected a mapping of priority classes with at least 1",
        "1:1: tiers: found nothing; expected a mapping of tiers with at least 1",
    ]


def test_all_problems_are_reported_together_in_the_order_of_the_file() -> None:
    source = (
        HEAD.replace("weight_per_mille: 1000", "weight_per_mille: -1")
        .replace("value: 500", "value: high")
        .replace("cohort: company", "cohort: nowhere")
    )
    with pytest.raises(InvalidInput) as refused:
        read_policy(source, "policies/p.yaml")
    assert refused.value.code is RefusalCode.INVALID_POLICY
    lines = refused.value.message.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["policies/p.yaml:3:28", "gpu_classes.H100.weight_per_mille"],
        ["policies/p.yaml:6:21", "priority_classes.standard.value"],
        ["policies/p.yaml:12:13", "pools.research.cohort"],
    ]


def test_a_value_that_was_refused_breaks_no_further_rule() -> None:
    # The hold cannot be read, so that nothing can be said about the slice beside it.
    source = HEAD.replace("{value: 500}", "{value: 500, hold: roling, slice_minutes: 5}")
    assert problems_of(source) == [
        '6:32: priority_classes.standard.hold: found "roling" (did you mean "rolling"?); expected one of full, rolling'
    ]


def test_a_file_that_is_wrong_throughout_is_answered_with_a_hundred_problems() -> None:
    found = problems_of(HEAD + "".join(f"key{n}: 1\n" for n in range(500)))
    assert len(found) == 101
    assert found[-1] == f"{LINES + 100}:1: and 400 more problems"
