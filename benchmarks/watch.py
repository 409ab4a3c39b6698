"""The watch's balance: how often it rolls back a sound champion, and after how many clicks a bad one.

    python benchmarks/watch.py [--null-days 10000] [--days 2000] [--runs 200] [--work FOLDER] [--out benchmarks/watch.md]

Two sound versions are trained on one simulated world, a day apart; every other figure is of days that came after. The
log's rows are made from the batch kernel's vectors and decided by the bundles. With `--work`, what was simulated and
trained there is used again.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta

from headgate import stages
from headgate.decisions import sequential, tally
from headgate.decisions.observed import watched_rows
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.features.kernel import features, in_order_of_arrival
from headgate.domains.adclicks.features.slices import device_codes
from headgate.domains.adclicks.model import baselines
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.simulated.simulator import simulate, truth_folder
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.domains.adclicks.simulated.world import World
from headgate.domains.adclicks.stages import evaluate

# Fixed before anything was tuned; the limits were chosen on other worlds (seeds 5 and 7).
WORLD, NULL, SOUND, BAD = 101, 102, 103, 104

CLICKS = 25_000
START = date(2026, 1, 5)
TRAINED = 17  # days that the version before was trained on; the champion has one more
TESTED = 21  # days after both
ATTACKS = (TRAINED + 3, TRAINED + 9, TRAINED + 15)  # the days that are attacked, each in a world of its own
PROMISE = 2_000  # clicks of the slice

ADCLICKS = get_domain("adclicks")
assert ADCLICKS.limits.watch is not None
WATCH = ADCLICKS.limits.watch
BAR = sequential.bar(WATCH.alpha, 2 * (WATCH.slices + 1))

# What enters no bundle is cut short.
baselines.LIGHTGBM_ROUNDS = 20
evaluate.BOOTSTRAP_WORK = 1

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """n clicks of a day in order of arrival; `good` as the watch takes a unit for good."""

    name: str
    time: Ints  # µs since midnight
    user: Ints  # codes from 0
    slice: Ints  # into SLICES
    good: Bools
    human: Bools  # by the hidden truth
    score: NDArray[np.float32]
    against: Bools  # by the champion
    before: Bools  # by the version before it

    def __getitem__(self, rows: Ints) -> "Day":
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})


COLUMNS = ("time", "user", "slice", "good", "human", "score", "against", "before")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--null-days", type=int, default=10_000)
    options.add_argument("--days", type=int, default=2_000)
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--work", type=Path)
    options.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = options.parse_args()
    work = asked.work or Path(tempfile.mkdtemp(prefix="headgate-watch-"))
    before, champion = (trained(work, TRAINED), trained(work, TRAINED + 1))
    slices = sorted(set(champion.slices))
    calm = list(days(source(work, "calm", TRAINED + 1 + TESTED), champion, before, slices, "calm"))
    attacked = []
    for number in ATTACKS:
        raw = source(work, "attack", number + 2)
        attacked += [day for day in days(raw, champion, before, slices, "attack") if day.name.endswith(f"{at(number)}")]
    gateway = list(days(source(work, "gateway", TRAINED + 8), champion, before, slices, "gateway"))[-5:]
    checked(calm[0], slices)
    text = [__doc__.split("\n\n")[0] + "\n", setting(calm, slices)]
    text += [null(asked.null_days), sound(calm, attacked, asked.days), faults(attacked, gateway, slices)]
    text += [bad(calm, slices, asked.runs)]
    asked.out.write_text("# The watch\n\n" + "\n".join(text))
    print(asked.out.read_text())


# -- the world ---------------------------------------------------------------------------------------------------------


def at(day: int) -> date:
    return START + timedelta(day)


def source(work: Path, scenario: str, length: int) -> Path:
    out = work / f"{scenario}-{length}"
    if not out.is_dir():
        simulate(out, ClickSizes(days=length, clicks_per_day=CLICKS), scenario=scenario, seed=WORLD)
    return out


def trained(work: Path, length: int) -> Predictor:
    """A version made of the first days of the calm world."""
    folder = work / f"version-{length}"
    if not (folder / "bundle").is_dir():
        as_of = datetime.combine(at(length), datetime.min.time(), UTC)
        raw = source(work, "calm", TRAINED + 1 + TESTED)
        stages.snapshot(ADCLICKS, folder, Request(str(raw), as_of, seed=length))
        for stage in stages.STAGES.values():
            stage(ADCLICKS, folder)
        stages.seal(folder)
    return Predictor(folder / "bundle")


def days(raw: Path, champion: Predictor, before: Predictor, slices: list[str], name: str) -> Iterator[Day]:
    """The days of `raw` after both versions were trained."""
    paths = sorted((raw / "clicks").glob("*.parquet"))
    clicks = in_order_of_arrival(pl.concat([pl.read_parquet(path) for path in paths]))
    truth = pl.concat([pl.read_parquet(path) for path in sorted((truth_folder(raw) / "truth").glob("*.parquet"))])
    since = datetime.combine(at(TRAINED + 1), datetime.min.time(), UTC)
    first = int(clicks["received_at"].search_sorted(since))
    vectors, device = features(clicks, first), device_codes(clicks["device"][first:])
    mine, theirs = champion.decide_vectors(vectors, device), before.decide_vectors(vectors, device)
    names = np.array([slices.index(one) for one in champion.slices])[mine.leaf]
    decided = clicks.with_columns(slice=pl.lit(""), outcome=pl.lit("valid"))
    sure = watched_rows(ADCLICKS, WATCH, decided)["denominator"] > 0
    last = pl.when("sure").then("received_at").forward_fill().over("user_id")
    fresh = clicks.with_columns(sure=sure).select((pl.col("received_at") - last) < timedelta(days=14))
    lately = fresh.to_series().fill_null(False)
    good = sure.fill_null(lately).to_numpy()[first:]
    table = clicks[first:].join(truth, on="click_id", how="left", maintain_order="left")
    day = table["received_at"].dt.date().to_numpy()
    micros = table["received_at"].dt.epoch("us").to_numpy() % 86_400_000_000
    for one in np.unique(day):
        rows = np.flatnonzero(day == one)
        users = snapshots.user_hash(table["user_id"].gather(rows))
        yield Day(
            f"{name} {one}",
            micros[rows],
            np.unique(users, return_inverse=True)[1].astype(np.int64),
            names[rows],
            good[rows],
            ~table["is_robot"].to_numpy()[rows],
            mine.score[rows],
            mine.invalid[rows],
            theirs.invalid[rows],
        )


def pooled(days: list[Day]) -> tuple[Day, int]:
    """The users' days of several days as one, a user of two days being two; and how many a day has of them."""
    users = [int(day.user.max()) + 1 for day in days]
    before = np.cumsum([0, *users[:-1]])
    columns = {name: np.concatenate([getattr(day, name) for day in days]) for name in COLUMNS}
    columns["user"] = np.concatenate([day.user + first for day, first in zip(days, before, strict=True)])
    whole = Day(days[0].name, **columns)
    return whole[np.argsort(whole.user, kind="stable")], sum(users) // len(days)


def resampled(pool: tuple[Day, int], random: np.random.Generator) -> Day:
    """A day of as many users as a day of the pool has: drawn with replacement, each with all its clicks of its day."""
    whole, users = pool
    starts = np.searchsorted(whole.user, np.arange(whole.user[-1] + 2))
    drawn = random.integers(0, len(starts) - 1, users)
    counts = starts[drawn + 1] - starts[drawn]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    found = whole[np.repeat(starts[drawn], counts) + within]
    found = replace(found, user=np.repeat(np.arange(users), counts))
    return found[np.argsort(found.time, kind="stable")]


# -- the tests, looked at after every click ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """A slice's counts after each of its good clicks [m], and which click of the day each of them is."""

    click: Ints
    units: Ints
    wronged: Ints
    worse: Ints
    better: Ints

    def harm(self) -> Bools:
        alone = sequential.share(self.units, self.wronged, WATCH.wronged) >= BAR
        return alone | (sequential.paired(self.units, self.worse, self.better, WATCH.newly) >= BAR)

    def largest(self) -> float:
        """The largest log capital of both tests."""
        alone = sequential.share(self.units, self.wronged, WATCH.wronged)
        return float(max(alone.max(), sequential.paired(self.units, self.worse, self.better, WATCH.newly).max()))

    def rolls_back(self) -> int | None:
        """The click of the day at which the champion is rolled back."""
        curable = self.worse - self.better > WATCH.newly * self.units
        hit = np.flatnonzero(curable & self.harm())
        return int(self.click[hit[0]]) if len(hit) else None


def courses(day: Day) -> dict[int, Course]:
    """By slice; −1 is all traffic."""
    good = np.flatnonzero(day.good)
    found = {}
    for name in (-1, *np.unique(day.slice[good]).tolist()):
        rows = good if name < 0 else good[day.slice[good] == name]
        if len(rows):
            user, against, before = day.user[rows], day.against[rows], day.before[rows]
            apart = np.flatnonzero(against != before)
            first = apart[_first(user[apart])]
            worse, better = first[against[first]], first[~against[first]]
            hit = np.flatnonzero(against)
            found[name] = Course(
                rows, *(_counted(at, len(rows)) for at in (_first(user), hit[_first(user[hit])], worse, better))
            )
    return found


def _first(codes: Ints) -> Ints:
    return np.unique(codes, return_index=True)[1]


def _counted(at: Ints, n: int) -> Ints:
    return np.cumsum(np.bincount(at, minlength=n))


def checked(day: Day, slices: list[str]) -> None:
    """Hold the last counts of each course against those of the watch's own tally."""
    rows = day[np.flatnonzero(day.good)]
    seen = pl.DataFrame(
        {
            "slice": np.array(slices, dtype=object)[rows.slice],
            "unit": rows.user.astype(str).astype(object),
            "adverse": rows.against,
            "before": rows.before,
        },
        schema_overrides={"slice": pl.String, "unit": pl.String},
    )
    mine = courses(day)
    for one in tally.findings(tally.add(tally.empty(), seen, WATCH.after), WATCH):
        path = mine[-1 if one.slice == tally.EVERYTHING else slices.index(one.slice)]
        counts = [int(counted[-1]) for counted in (path.units, path.wronged, path.worse, path.better)]
        assert counts == [one.units, one.wronged, one.worse, one.better], (one, counts)


# -- what is shown -----------------------------------------------------------------------------------------------------


def setting(calm: list[Day], slices: list[str]) -> str:
    every = WATCH.slices + 1
    lines = [
        f"A day's level is {WATCH.alpha:g}, shared by 2 tests in {WATCH.slices} slices and all traffic: a claim is "
        f"refuted at an e-value of {np.exp(BAR):,.0f} = 2 × {every} / {WATCH.alpha:g}. At most {WATCH.wronged:.1%} of "
        f"the units may be wronged on a day, and {WATCH.newly:.1%} newly.\n",
        f"World {WORLD}, {CLICKS:,} clicks a day; {len(calm)} calm days after both versions were made "
        f"({sum(_sale(day) for day in calm)} of them with a sale). A mean calm day, in percent where it is a share:\n",
        "| slice | clicks | people's | good clicks | good users | of them wronged | newly | freed | IVR |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (-1, *range(len(slices))):
        ends = [(day, courses(day).get(name)) for day in calm]
        rows = [np.ones(len(day.slice), bool) if name < 0 else day.slice == name for day, _ in ends]
        clicks = sum(map(np.sum, rows))
        people = sum((mask & day.human).sum() for (day, _), mask in zip(ends, rows, strict=True))
        against = sum((mask & day.against).sum() for (day, _), mask in zip(ends, rows, strict=True))
        last = [path for _, path in ends if path]
        units, wronged, worse, better = (
            sum(int(getattr(path, f)[-1]) for path in last) for f in ("units", "wronged", "worse", "better")
        )
        good = sum(len(path.click) for path in last)
        share = [f"{100 * count / max(units, 1):.2f}" for count in (wronged, worse, better)]
        lines.append(
            f"| {_name(slices, name)} | {clicks / len(calm):,.0f} | {100 * people / clicks:.0f} | "
            f"{good / len(calm):,.0f} | {units / len(calm):,.0f} | {' | '.join(share)} | {100 * against / clicks:.1f} |"
        )
    return "\n".join(lines) + "\n"


def null(count: int) -> str:
    """Days on which every claim is true and only just: what the level must hold for."""
    random = np.random.default_rng(NULL)
    sizes = [1_000, *np.linspace(400, 20, WATCH.slices).astype(int)]
    false = {"wronged": 0, "newly": 0, "any": 0}
    for _ in range(count):
        hit = dict.fromkeys(false, False)
        for units in sizes:
            # A unit is wronged later than it is first seen, by a stretch of the day that differs from unit to unit.
            seen = np.sort(random.random(units))
            later = seen + random.exponential(0.1, units)
            wronged = later[random.random(units) < WATCH.wronged]
            side = random.random(units)  # 4 % differ, and as many for the better as for the worse
            worse, better = later[side < 0.02], later[(side >= 0.02) & (side < 0.04)]
            hit["wronged"] |= _crosses(seen, wronged, lambda n, k: sequential.share(n, k, WATCH.wronged))
            looks = np.sort(worse)
            n, up, down = (np.searchsorted(np.sort(times), looks, side="right") for times in (seen, worse, better))
            hit["newly"] |= bool((sequential.paired(n, up, down, WATCH.newly) >= BAR).any())
        hit["any"] = hit["wronged"] or hit["newly"]
        for name in false:
            false[name] += hit[name]
    lines = [
        f"## The level, where every claim is only just true: {count:,} days\n",
        f"{len(sizes)} slices of {min(sizes)} to {max(sizes):,} units; {WATCH.wronged:.0%} of the units are wronged, "
        "some time after they are first seen, and 4 % differ between the versions, half of them each way. Looked at "
        "after every event. Days on which a claim was refuted:\n",
        "| claim | days | share [95 % Clopper–Pearson] | designed |",
        "|---|---|---|---|",
    ]
    halves = {"wronged": WATCH.alpha / 2, "newly": WATCH.alpha / 2, "any": WATCH.alpha}
    lines += [f"| {name} | {hits} | {_interval(hits, count)} | ≤ {halves[name]:.2%} |" for name, hits in false.items()]
    return "\n".join(lines) + "\n"


def _crosses(seen, ones, capital) -> bool:
    looks = np.sort(ones)
    n, k = np.searchsorted(seen, looks, side="right"), np.arange(1, len(looks) + 1)
    return bool((capital(n, k) >= BAR).any())


def sound(calm: list[Day], attacked: list[Day], count: int) -> str:
    random = np.random.default_rng(SOUND)
    weekend = [day for day in calm if _date(day).weekday() >= 5 and not _sale(day)]
    workday = [day for day in calm if _date(day).weekday() < 5 and not _sale(day)]
    kinds = [workday] * 4 + [weekend] * 2 + [[day for day in calm if _sale(day)], attacked]
    pools = [pooled(kind) for kind in kinds]
    back = harm = 0
    most = -np.inf
    for number in range(count):
        found = courses(resampled(pools[number % len(pools)], random))
        back += any(course.rolls_back() is not None for course in found.values())
        harm += any(course.harm().any() for course in found.values())
        most = max(most, *(course.largest() for course in found.values()))
    return (
        f"## A sound champion: {count:,} domain-days\n\n"
        f"By turns four workdays, two days of a weekend, one with a sale and an attacked one, of the "
        f"{len(calm) + len(attacked)} days after training. A day has as many users as such days have, drawn with "
        "replacement from all users of all days of its kind, each with all its clicks of its day at the times they had; "
        "the draws are units of their own. The champion is held against the version a day older, and looked at after "
        f"every click.\n\nFalse rollbacks: {back} of {count:,} "
        f"({_interval(back, count)}); false alarms without a rollback: {harm - back}. The largest e-value of all was "
        f"{np.exp(most):,.2g}; {np.exp(BAR):,.0f} rolls back.\n"
    )


def faults(attacked: list[Day], gateway: list[Day], slices: list[str]) -> str:
    lines = [
        "## Days that are no fault of the champion's\n",
        "Robots click four times as much (attack), or a tenth of all people move behind three new addresses (gateway).\n",
        "| day | clicks | IVR % | good users | wronged | newly | freed | largest e-value | rolled back |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for day in [*attacked, *gateway]:
        found = courses(day)
        whole = found[-1]
        most = max(course.largest() for course in found.values())
        back = any(path.rolls_back() is not None for path in found.values())
        lines.append(
            f"| {day.name} | {len(day.user):,} | {100 * day.against.mean():.1f} | {whole.units[-1]:,} | "
            f"{whole.wronged[-1]} | {whole.worse[-1]} | {whole.better[-1]} | {np.exp(most):.2g} | "
            f"{'yes' if back else 'no'} |"
        )
    return "\n".join(lines) + "\n"


def bad(calm: list[Day], slices: list[str], runs: int) -> str:
    """A champion that invalidates a tenth of the human clicks of one slice; how many clicks of it that took."""
    lines = [
        f"## A bad champion: {runs} days a slice and kind of fault\n",
        "The champion invalidates a tenth of the human clicks of one slice on top of its own decisions: any click "
        "alike (at random), or those that score highest (its threshold is too low; people who click a lot bear it). "
        f"Days are drawn as above, from the calm ones. Clicks of the slice until it is rolled back; by {PROMISE:,} of "
        "them; and by the day's end. Who is logged out has no RFM score and is known to be good only from having been "
        "logged in within two weeks, one click in 24 here: those slices take longer.\n",
        "| slice | fault | 10 % | median | 90 % | 99 % | within 2,000 [95 %] | that day |",
        "|---|---|---|---|---|---|---|---|",
    ]
    random = np.random.default_rng(BAD)
    pool = pooled(calm)
    for index, name in enumerate(slices):
        people = np.concatenate([day.score[(day.slice == index) & day.human] for day in calm])
        low = float(np.quantile(people, 0.9))
        for kind in ("at random", "threshold"):
            needed = []
            for _ in range(runs):
                day = resampled(pool, random)
                tenth = (random.random(len(day.user)) < 0.1) & day.human if kind == "at random" else day.score >= low
                inside = day.slice == index
                broken = replace(day, against=day.against | (inside & tenth))
                ends = [path.rolls_back() for path in courses(broken).values()]
                hits = [end for end in ends if end is not None]
                needed.append(int(inside[: min(hits) + 1].sum()) if hits else np.inf)
            told = np.array(needed)
            quantiles = [
                f"{q:,.0f}" if np.isfinite(q) else "–"
                for q in np.quantile(told, (0.1, 0.5, 0.9, 0.99), method="inverted_cdf")
            ]
            within = int((told <= PROMISE).sum())
            lines.append(
                f"| {name} | {kind} | {' | '.join(quantiles)} | {_interval(within, runs)} | "
                f"{100 * np.isfinite(told).mean():.0f} % |"
            )
    return "\n".join(lines) + "\n"


def _interval(hits: int, count: int) -> str:
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(0.975, hits + 1, count - hits))
    return f"{hits / count:.2%} [{low:.2%}, {high:.2%}]"


def _name(slices: list[str], index: int) -> str:
    return tally.EVERYTHING if index < 0 else slices[index]


def _date(day: Day) -> date:
    return date.fromisoformat(day.name.split()[-1])


def _sale(day: Day) -> bool:
    return bool(World(WORLD, CLICKS, START).is_sale((_date(day) - START).days))


if __name__ == "__main__":
    main()
