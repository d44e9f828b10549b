"""docs/benchmarks.md: what each benchmark measures, in its own words, and what was measured last.

python -m benchmarks.page writes it anew; so does every result that is kept.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
ROWS_MIN = 3
PAGE = FOLDER.parent / "docs" / "benchmarks.md"

_OPENING = """\
# Benchmarks

Written from the benchmarks and their results (`python -m benchmarks.page`). `make bench` runs them all, or
`python -m benchmarks NAME` one, and stores what was measured, with the machine, the commit and the load, under
`benchmarks/results`.

Read a figure with its circumstances. *Load* is the machine's average over the last minute when the result was kept, the
benchmark's own work included: where it is well above the number of processors, others were at work too, and times say
little but that they can be had no worse. Where it is missing it was not recorded. A commit with `+` had changes that
were not committed. A goal that was missed says so.

Figures in the words above the tables that are in no table were taken by hand and written down by the commit that stands
behind them. Nothing measures them again: they tell where time went then, and are no result.
"""


def benchmarks() -> dict[str, str]:
    """Every module that can be run, by the name that `python -m benchmarks.` takes, with its docstring."""
    modules = {path.stem: path for path in FOLDER.glob("*.py") if path.stem not in {"__main__", "page"}}
    modules |= {path.parent.name: path for path in FOLDER.glob("*/__main__.py")}
    sources = {name: path.read_text(encoding="utf-8") for name, path in sorted(modules.items())}
    return {
        name: ast.get_docstring(ast.parse(s)) or "" for name, s in sources.items() if 'if __name__ == "__main__"' in s
    }


def reference() -> str:
    """The whole page."""
    results = {path.stem: orjson.loads(path.read_bytes()) for path in sorted(RESULTS.glob("*.json"))}
    sections = []
    for name, about in benchmarks().items():
        own = {stem: results.pop(stem) for stem in list(results) if stem == name or stem.startswith(f"{name}-")}
        sections.append("".join(_section(name, about, own)))
    sections += [_result(stem, result) for stem, result in results.items()]
    return _OPENING + "".join(sections)


def write() -> None:
    PAGE.write_text(reference(), encoding="utf-8")


def _section(name: str, about: str, results: dict[str, Any]) -> Iterator[str]:
    yield f"\n## {name}\n\n{about}\n\n```sh\npython -m benchmarks.{name}\n```\n"
    for stem, result in results.items():
        yield _result(stem, result)
    if not results:
        yield "\nNo result is stored.\n"


def _result(stem: str, result: dict[str, Any]) -> str:
    circumstances = result.get("circumstances", {})
    tables = {key: value for key, value in result.items() if _is_table(value)}
    rows = "".join(f"| {key} | {value} |\n" for key, value in _flat(result) if key.split(" ")[0] not in tables)
    told = "".join(table(key, value) for key, value in tables.items())
    return f"\n`results/{stem}.json`, {_told(circumstances)}:\n\n| | |\n|---|---|\n{rows}{told}"


def table(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """Rows that have the same columns, beneath one another. What there is none of is a dash."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {name} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row} | {' | '.join(_cell(cells[each]) for each in columns)} |" for row, cells in rows.items()]
    return "\n" + "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return "–" if value is None else _shown(value)


def _is_table(value: object) -> bool:
    """At least three rows by name, with more than one and the same columns, each of one value."""
    if (
        not isinstance(value, dict)
        or len(value) < ROWS_MIN
        or not all(isinstance(each, dict) for each in value.values())
    ):
        return False
    columns = {tuple(each) for each in value.values()}
    leaves = [leaf for each in value.values() for leaf in each.values()]
    return (
        len(columns) == 1 and len(leaves) > len(value) and not any(isinstance(leaf, dict | list) for leaf in leaves)
    )


def _told(circumstances: dict[str, Any]) -> str:
    """What a reader must know before comparing."""
    commit = circumstances.get("commit", "unknown") + ("+" if circumstances.get("is_changed") else "")
    load = circumstances.get("load")
    return (
        f"{circumstances.get('processors')} processors, {circumstances.get('memory_gib')} GiB, "
        f"Python {circumstances.get('python')}, commit {commit}, load {'not recorded' if load is None else load}"
    )


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(key, value) of every leaf but the circumstances; lists of objects one after the other."""
    for key, item in value.items():
        if key == "circumstances":
            continue
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key} ")
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            for number, each in enumerate(item, 1):
                yield from _flat(each, f"{prefix}{key} {number} ")
        else:
            yield f"{prefix}{key}", _shown(item)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


if __name__ == "__main__":
    write()
