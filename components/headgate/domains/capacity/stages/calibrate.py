"""The calibrate step: intervals from origins that neither tuned nor test, joined to the model as a bundle."""

import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np

from headgate.domains.capacity.companions.calendar import as_of, companion_id, read_calendar, read_masks
from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.model import histories, series_model
from headgate.domains.capacity.model.backtest import try_all
from headgate.domains.capacity.model.intervals import BANDS, SHARES, Noise, certified, steps
from headgate.domains.capacity.model.origins import OriginForecast
from headgate.domains.capacity.model.peaks import collect, write_libraries
from headgate.domains.capacity.stages.train import newest
from headgate.files import read_json, write_json
from headgate.registry.bundles import CARD


def step(work: Path, out: Path) -> None:
    """Fill `out` with `bundle/` and `calibration.json`."""
    snapshot = snapshots.read_snapshot(work / "snapshot")
    bundle = out / "bundle"
    shutil.copytree(work / "train" / "model", bundle)
    for name in ("calendar.csv", "masks.csv"):
        if (snapshot.folder / name).is_file():
            shutil.copyfile(snapshot.folder / name, bundle / name)
    trained = read_json(work / "train" / "training.json")
    write_json(bundle / "training.json", trained)
    noises = _noises(trained)
    weights = {one.series: m.weights[:, i] for m in series_model.read(bundle) for i, one in enumerate(m.series)}
    known = [newest(history) for history in histories.load(snapshot.folder, snapshot.as_of)]
    mine = [np.stack([weights[one.series] for one in history.series], axis=1) for history in known]
    tried: dict[int, list[OriginForecast]] = defaultdict(list)
    for history, _, one in try_all(known, "certify", mine):
        tried[history.step].append(one)
    found, told, library = {}, {}, {}
    for own, runs in tried.items():
        for coarse in steps(own):
            if (bands := certified(runs, coarse, noises.get(coarse, {}))) is not None:
                found[f"{own}/{coarse}"] = bands.to_dict()
        told[str(own)] = {"origins": len(runs), "tested_days": max((b["tested"] for b in found.values()), default=0)}
        library[own] = collect(runs, noises.get(own, {}))
    write_libraries(bundle, library)
    noise = {
        str(coarse): {name: [one.sigma, one.smooth, one.chance] for name, one in values.items()}
        for coarse, values in noises.items()
    }
    write_json(bundle / BANDS, {"shares": SHARES, "bands": found, "noise": noise})
    write_json(
        bundle / CARD,
        {
            "domain": "capacity",
            "as_of": snapshot.as_of.isoformat(),
            "calendar": snapshot.calendar,
            "masks": snapshot.masks,
            # What counts by default, and made the golden answers; the two above are of all that was ever written.
            "companions": {
                "calendar": companion_id(as_of(read_calendar(snapshot.folder), snapshot.as_of)),
                "masks": companion_id(as_of(read_masks(snapshot.folder), snapshot.as_of)),
            },
            "series": len(weights),
        },
    )
    write_json(out / "calibration.json", {"steps": told, "shares": SHARES, "words": _words(found)})


def _noises(trained: list[dict[str, dict[str, dict[str, dict[str, float]]]]]) -> dict[int, dict[str, Noise]]:
    noises: dict[int, dict[str, Noise]] = defaultdict(dict)
    for facts in trained:
        for coarse, values in facts["noise"].items():
            noises[int(coarse)] |= {name: Noise(**one) for name, one in values.items()}  # type: ignore[arg-type]
    return dict(noises)


def _words(found: dict[str, dict[str, float]]) -> str:
    if not found:
        return "No interval is certified: the history is too short to try a forecast at an earlier instant."
    reach = max(one["tested"] for one in found.values())
    return f"Intervals are certified at origins up to {reach:.0f} days ahead; beyond, they widen with √horizon."
