"""Which version of allot this is."""

from importlib.metadata import PackageNotFoundError, version

UNINSTALLED = "0+source"


def installed_version() -> str:
    """The distribution's version; `0+source` where the package runs from a folder without being installed."""
    try:
        return version("allot")
    except PackageNotFoundError:
        return UNINSTALLED
