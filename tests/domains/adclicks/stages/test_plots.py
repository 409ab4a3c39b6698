"""What the pictures tell a reviewer in words."""

from pathlib import Path

import polars as pl
import pytest
from matplotlib.figure import Figure

from headgate.domains.adclicks.model.baselines import NAMES
from headgate.domains.adclicks.model.predictor import THRESHOLDS
from headgate.domains.adclicks.stages.plots import plots
from headgate.files import write_json
from headgate.gate.change import ROWS


def legend(work: Path, slices: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the legend of the slices' curves says, for a run with these slices."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: figures.update({path.stem: self}))
    for folder in ("evaluate", "validate", "calibrate/bundle"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    scores = {f"score_{name}": [0.1, 0.9] * len(slices) for name in NAMES}
    rows = {"slice": [name for name in slices for _ in range(2)], "good": [True, False] * len(slices)}
    flags = {"heavy": [False, True] * len(slices), "human": rows["good"]}
    rows["outcome"] = ["valid", "invalid"] * len(slices)
    pl.DataFrame(scores | rows | flags).write_parquet(work / "evaluate" / ROWS)
    write_json(work / "calibrate" / "bundle" / THRESHOLDS, {n: {"slice": n, "threshold": 0.5} for n in slices})
    pl.DataFrame({"p": [None], "why": ["too few days"]}).write_csv(work / "validate" / "hours.csv")
    plots(work, work)
    drawn = figures["ivr_fpr"].axes[0].get_legend()
    assert drawn is not None
    return [text.get_text() for text in drawn.get_texts()]


def test_the_slice_of_what_is_left_is_not_called_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert legend(tmp_path, ["all", "mobile"], monkeypatch) == ["all other (1 purchasing)", "mobile (1 purchasing)"]
    assert legend(tmp_path, ["all"], monkeypatch) == ["all (1 purchasing)"]
