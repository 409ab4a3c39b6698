"""What people's rulings cost: reading a part of the log among 50,000 of them, and working a queue.

python benchmarks/reviews.py --rulings 50000
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

from tests.decisions.made import LOG, make_log  # noqa: E402
from tests.toy_reviews import RULED, room_case  # noqa: E402

from headgate import settings as settings_module  # noqa: E402
from headgate.decisions.reading import effective, parts, read_part  # noqa: E402
from headgate.decisions.reviews import queue  # noqa: E402
from headgate.decisions.reviews.answers import Answer, rule, undo  # noqa: E402
from headgate.decisions.reviews.cases import open_case, open_cases  # noqa: E402
from headgate.decisions.reviews.claims import Reader, claim  # noqa: E402
from headgate.decisions.rulings import rule as rule_by_hand  # noqa: E402
from headgate.settings import Settings  # noqa: E402

OUT = Path(__file__).with_suffix(".md")


def timed(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that `work` takes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1e3)
    taken.sort()
    return statistics.median(taken), taken[int(0.95 * (len(taken) - 1))]


def reading(here: Settings, rulings: int, rows: int, times: int) -> list[str]:
    """Rows of the table: one part, without any ruling, and among `rulings`, of which on it none, some and all.

    Each is measured in turn with the one before any, whose log is a copy, so that a busy machine slows both alike.
    """
    bare = replace(here, home=here.home.with_name("bare"))
    for home in (here, bare):
        make_log(home, rulings, part=rows)
    every = list(parts(here, LOG))
    part, first = every[len(every) // 2]
    ids = [one for _, of in every for one in of["decision_id"]]
    mine = set(first["decision_id"])
    others = [one for one in ids if one not in mine]
    more = [f"{ids[0][:8]}-other-{number}" for number in range(rulings - len(others))]
    kinds = {
        "none of them on this part": others + more,
        "a tenth of it ruled on": list(mine)[::10],
        "all of it ruled on": list(mine),
    }
    lines = []
    for what, told in kinds.items():
        rule_by_hand(here, RULED, told, outcome="hot", who="bench", why="")
        for when in ("at once", "later"):
            if when == "later":
                time.sleep(1.1)  # then the day is known
                effective(here, LOG, first, part)
            taken: dict[str, list[float]] = {"alone": [], "alone before": [], "read": [], "read before": []}
            for _ in range(times if when == "later" else min(times, 40)):
                for suffix, home in ((" before", bare), ("", here)):
                    taken["alone" + suffix].append(timed(lambda: effective(home, LOG, first, part), 1)[0])  # noqa: B023
                    taken["read" + suffix].append(
                        timed(lambda: effective(home, LOG, read_part(home, LOG, part), part), 1)[0]  # noqa: B023
                    )
            told_ms = {name: statistics.median(values) for name, values in taken.items()}
            cells = [f"{told_ms['alone before']:.2f}", f"{told_ms['alone']:.2f}", f"{told_ms['read before']:.2f}"]
            cells += [f"{told_ms['read']:.2f}", f"**{told_ms['read'] / told_ms['read before']:.2f}**"]
            lines.append(f"| {what} | {'within a second of it' if when == 'at once' else when} | {' | '.join(cells)} |")
    return lines


def working(here: Settings, times: int) -> list[str]:
    """Rows of the table: what a reader waits for."""
    ann, numbers = Reader("ann"), iter(range(10**6))
    open_cases(here, RULED, [room_case(f"q-{number}") for number in range(5_000)])
    held = []

    def one() -> None:
        found = claim(here, RULED, ann)
        assert found is not None
        held.append(found)

    def rules() -> None:
        found = held[-1]
        made.append(rule(here, RULED, ann, found.case.key, found.token, Answer("cold", f"b-{next(numbers)}")))

    made: list = []
    spent = {
        "claim the next": [],
        "rule": [],
        "take it back": [],
        "look at what waits": [],
        "ask whether anybody moved": [],
    }
    for _ in range(times):
        for what, work in (("claim the next", one), ("rule", rules)):
            spent[what].append(timed(work, 1)[0])
        spent["take it back"].append(timed(lambda: held.append(undo(here, RULED, ann, made[-1].seq)), 1)[0])
        rules()
        spent["look at what waits"].append(timed(lambda: queue.look(here, RULED, ann), 1)[0])
        spent["ask whether anybody moved"].append(timed(lambda: queue.moves(here, "rooms"), 1)[0])
    spent["open a case"] = [
        timed(lambda: open_case(here, RULED, room_case(f"n-{next(numbers)}")), 1)[0] for _ in range(times)
    ]
    return [
        f"| {what} | {statistics.median(taken):.1f} | {sorted(taken)[int(0.95 * (len(taken) - 1))]:.1f} |"
        for what, taken in spent.items()
    ]


def main() -> None:
    """Measure, and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rulings", type=int, default=50_000)
    options.add_argument("--times", type=int, default=200)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = replace(settings_module.load(), home=Path(folder) / "small", reviews=None)
        lines = reading(here, asked.rulings, 1_000, asked.times)
        worked = working(replace(here, home=Path(folder) / "queue"), asked.times)
    model = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    text = f"""# What people's rulings cost

    python benchmarks/reviews.py --rulings {asked.rulings}

{model}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, polars {pl.__version__},
SQLite on a local disk; {asked.times} times each, in milliseconds.

## Reading a part of the log: `effective`

A part of 1,000 rows in a log of {asked.rulings:,}, and as many rulings. *Before* is the same part in a log that nobody ruled on;
the two are measured in turn. A part is read from its file, and then brought up to what holds.

| rulings | asked | `effective` before | now | with reading the part before | now | times as long |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

## Working a queue of 5,000 cases

| what | median | 95 % |
|---|---|---|
{chr(10).join(worked)}
"""
    OUT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
