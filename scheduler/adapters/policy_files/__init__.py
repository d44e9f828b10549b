"""Policies and the people directory as YAML files: read strictly, refused with every problem and its place."""

from scheduler.adapters.policy_files.document import read_bytes
from scheduler.adapters.policy_files.manual import people_reference, policy_reference, price_reference
from scheduler.adapters.policy_files.people import check_people, read_people
from scheduler.adapters.policy_files.policy_reader import check_policy, read_policy
from scheduler.adapters.policy_files.prices import check_prices, read_prices
from scheduler.adapters.policy_files.problems import Mark, Problem

__all__ = [
    "Mark",
    "Problem",
    "check_people",
    "check_policy",
    "check_prices",
    "people_reference",
    "policy_reference",
    "price_reference",
    "read_bytes",
    "read_people",
    "read_policy",
    "read_prices",
]
