"""How the text of a proposal is read again when it is approved."""

from scheduler.adapters.package_text import read_package
from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.lifecycle.approvals.approve import Readers

READERS = Readers(read_policy, read_prices, read_package)
