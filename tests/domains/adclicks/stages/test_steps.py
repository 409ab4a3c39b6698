"""Train, calibrate and evaluate: the same again from the same, everything a reviewer reads, nothing that is relaxed."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.limits import METRICS
from headgate.domains.adclicks.model import table
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.stages import calibrate, train
from headgate.errors import DataRefused, HeadgateError
from headgate.files import read_json
from headgate.registry.bundles import verify
from headgate.registry.golden import GOLDEN, agrees

ADCLICKS = get_domain("adclicks")
MODELS = {"net", "lightgbm", "logistic", "rule"}

#: A budget that the small source has people enough to certify.
LOOSE = 0.10


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(work: Path, request: Request, *, upto: str = "evaluate") -> Path:
    """The stages up to one, without validation; `work`, with the sealed bundle where all have run."""
    stages.snapshot(ADCLICKS, work, request)
    names = ("train", "calibrate", "evaluate")
    for name in names[: names.index(upto) + 1]:
        stages.STAGES[name](ADCLICKS, work)
    if upto == "evaluate":
        stages.seal(work)
    return work


@pytest.fixture(scope="module")
def again(small: Path, as_of: datetime, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The net and thresholds of `work` calibrated again, under a budget that can be certified."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "ALPHA", LOOSE)
        patch.setattr("headgate.domains.adclicks.model.net.train", None)  # nothing may be trained
        request = Request(str(small), as_of).recalibrating(work / "bundle")
        return run(tmp_path_factory.mktemp("again"), request)


# -- train -------------------------------------------------------------------------------------------------------------


def test_the_same_request_makes_the_same_bytes(work: Path, small: Path, as_of: datetime, tmp_path: Path) -> None:
    fresh = run(tmp_path / "fresh", Request(str(small), as_of))
    for folder in ("snapshot", "train", "calibrate", "evaluate", "bundle"):
        made, made_before = files(fresh / folder), files(work / folder)
        assert made.keys() == made_before.keys()
        assert [name for name in made if made[name] != made_before[name]] == []


def test_training_records_what_the_gate_looks_at(work: Path) -> None:
    record = read_json(work / "train" / "training.json")
    fit = table.rows(work, "fit")
    assert (record["rows"], record["humans"]) == (len(fit), int(fit.human.sum()))
    assert 0 < record["effective_sample_size"] <= len(fit)
    losses = [epoch["train_loss"] for epoch in record["losses"]]
    assert losses[-1] < losses[0] < 0.75
    assert all(0 < epoch["stop_loss"] < 1 for epoch in record["losses"])


def test_a_loss_that_is_no_number_ends_the_training(
    work: Path, small: Path, as_of: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.domains.adclicks.model.net.LEARNING_RATE", 1e30)
    with pytest.raises(HeadgateError, match="The loss was not finite after"):
        run(tmp_path, Request(str(small), as_of), upto="train")
    assert not (tmp_path / "train").exists()


def test_learners_that_take_turns_are_each_held_out_once(work: Path) -> None:
    rows = table.rows(work, "fit")
    pairs = train.in_turns(rows)
    assert len(pairs) == train.FOLDS
    for learned, held in pairs:
        assert len(learned) + len(held) == len(rows)
        assert not set(learned.user.tolist()) & set(held.user.tolist())
        assert held.human.any()
    assert sorted(click for _, held in pairs for click in held.click_id) == sorted(rows.click_id)


def test_where_few_are_held_out_the_score_is_the_mean_of_nets_that_took_turns(
    small: Path, as_of: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime
    import torch

    from headgate.domains.adclicks.model import baselines, net

    monkeypatch.setattr(train, "FEWEST_USERS", 60)
    monkeypatch.setattr(net, "EPOCHS", 1)
    monkeypatch.setattr(baselines, "LIGHTGBM_ROUNDS", 2)
    nets: list[net.Net] = []
    export = net.export
    monkeypatch.setattr(net, "export", lambda members, path: (nets.extend(members), export(members, path)))
    run(tmp_path, Request(str(small), as_of), upto="train")
    rows = table.rows(tmp_path, "fit", "stop")
    record = read_json(tmp_path / "train" / "training.json")
    assert (record["members"], record["rows"]) == (len(nets), len(rows)) == (train.FOLDS, len(rows))
    session = onnxruntime.InferenceSession(tmp_path / "train" / "model" / "model.onnx")
    (score,) = session.run(None, {"features": rows.x})
    with torch.no_grad():
        each = [torch.sigmoid(member(torch.from_numpy(rows.x))).numpy() for member in nets]
    assert np.allclose(score, np.mean(each, axis=0), atol=1e-5)
    assert not np.allclose(each[0], each[1], atol=1e-3)


def test_too_few_people_to_learn_from_are_refused(
    small: Path, as_of: datetime, doctored: Callable[..., Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {f"purchases/{path.name}": None for path in (small / "purchases").iterdir()}
    for path in (small / "clicks").iterdir():
        changes[f"clicks/{path.name}"] = lambda day: day.with_columns(rfm=pl.lit(None, pl.Int8))
    with pytest.raises(DataRefused, match="Give more days, or check the feed of purchases"):
        run(tmp_path, Request(str(doctored(small, changes)), as_of), upto="train")


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_a_bundle_holds_what_a_version_is_and_no_pickle(work: Path) -> None:
    verify(work / "bundle")
    held = files(work / "bundle")
    assert set(held) == {
        "manifest.json",
        "bundle.json",
        "model.onnx",
        "thresholds.json",
        "certificate.json",
        "training.json",
        "scorecard.json",
        GOLDEN,
        *(f"baselines/{name}" for name in ("logistic.json", "lightgbm.txt", "rule.json", "thresholds.json")),
    }
    for name, data in held.items():
        assert not data.startswith((b"\x80", b"PK")), name  # a pickle, and the zip that torch puts one into


def test_golden_rows_are_of_the_test_rows_and_the_bundle_agrees_with_them(work: Path) -> None:
    golden = pl.read_parquet(work / "bundle" / GOLDEN)
    assert len(golden) == agrees(work / "bundle", Predictor(work / "bundle")) == 256
    assert golden["device"].n_unique() > 1
    assert golden["expected_score"].n_unique() > 100


def test_a_run_that_is_not_whole_is_not_sealed(work: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadgateError, match=r"bundle is missing: run the stages before it"):
        stages.seal(tmp_path)
    (tmp_path / "calibrate").mkdir()
    (tmp_path / "calibrate" / "bundle").symlink_to(work / "calibrate" / "bundle")
    with pytest.raises(HeadgateError, match=r"scorecard.json is missing"):
        stages.seal(tmp_path)
    assert not (tmp_path / "bundle").exists()


# -- calibrate ---------------------------------------------------------------------------------------------------------


def test_without_a_certificate_nothing_is_invalidated_and_the_words_tell_what_it_takes(work: Path) -> None:
    thresholds = read_json(work / "bundle" / "thresholds.json")
    assert set(thresholds) == set(LEAVES)
    assert {entry["threshold"] for entry in thresholds.values()} == {None}
    for theirs in read_json(work / "bundle" / "baselines" / "thresholds.json").values():
        assert theirs == dict.fromkeys(LEAVES)
    calibration = read_json(work / "calibrate" / "calibration.json")
    assert (calibration["certified"], calibration["published"]) == (False, None)
    users = calibration["certificates"]["slices"]["users"]
    certify = table.rows(work, "certify")
    assert users == len(np.unique(certify.user[certify.bought]))
    assert "Nothing is certified, so nothing is published." in calibration["words"]
    assert f"It takes 368 purchasing users if none of them is invalidated, {368 - users} more" in calibration["words"]
    assert set(pl.read_parquet(work / "evaluate" / "rows.parquet")["outcome"]) == {"valid"}


def test_what_is_certified_is_what_decides(again: Path) -> None:
    certificate = read_json(again / "bundle" / "certificate.json")
    assert certificate["certified"]
    published = certificate["certificates"][certificate["published"]]
    assert published["upper"] <= LOOSE
    assert published["thresholds"] == certificate["thresholds"]
    for entry in read_json(again / "bundle" / "thresholds.json").values():
        assert entry["slice"] in certificate["slices"]
        assert entry["threshold"] == certificate["thresholds"][entry["slice"]]
    rows = pl.read_parquet(again / "evaluate" / "rows.parquet")
    assert set(rows["outcome"]) == {"valid", "invalid"}


def test_the_certificate_counts_each_held_out_user_once(again: Path) -> None:
    """Wherever the invalidated users are counted again, from the bundle's own decisions, they are as many or fewer."""
    certify = table.rows(again, "certify")
    decided = Predictor(again / "bundle").decide_vectors(certify.x, certify.device).invalid
    wronged = {int(user) for user in certify.user[certify.bought & decided]}
    certificate = read_json(again / "bundle" / "certificate.json")
    published = certificate["certificates"][certificate["published"]]
    assert published["users"] == len(np.unique(certify.user[certify.bought]))
    assert published["invalidated"] <= len(wronged)


# -- recalibration -----------------------------------------------------------------------------------------------------


def test_new_thresholds_keep_the_models_to_the_last_byte(work: Path, again: Path) -> None:
    one, other = files(work / "bundle"), files(again / "bundle")
    kept = {"model.onnx", "bundle.json", *(f"baselines/{n}" for n in ("logistic.json", "lightgbm.txt", "rule.json"))}
    assert [name for name in kept if one[name] != other[name]] == []
    for name in ("thresholds.json", "certificate.json", "scorecard.json", "baselines/thresholds.json"):
        assert one[name] != other[name], name
    trained, base = (read_json(folder / "bundle" / "training.json") for folder in (work, again))
    assert base == trained | {"base": True}


def test_traffic_of_one_slice_alone_can_be_calibrated_and_judged(
    work: Path, small: Path, as_of: datetime, doctored: Callable[..., Path], tmp_path: Path
) -> None:
    def one_slice(day: pl.DataFrame) -> pl.DataFrame:
        return day.with_columns(device=pl.lit("mobile"), logged_in=pl.lit(False), ip="click_id")

    source = doctored(small, {f"clicks/{path.name}": one_slice for path in (small / "clicks").iterdir()})
    run(tmp_path, Request(str(source), as_of).recalibrating(work / "bundle"))
    rows = pl.read_parquet(tmp_path / "evaluate" / "rows.parquet")
    assert rows["slice"].unique().to_list() == ["mobile/out/direct"]
    assert agrees(tmp_path / "bundle", Predictor(tmp_path / "bundle"))


def test_thresholds_without_a_purchase_to_set_them_by_are_refused(
    work: Path, small: Path, as_of: datetime, doctored: Callable[..., Path], tmp_path: Path
) -> None:
    source = doctored(small, {f"purchases/{path.name}": None for path in (small / "purchases").iterdir()})
    with pytest.raises(DataRefused):
        run(tmp_path, Request(str(source), as_of).recalibrating(work / "bundle"))
    assert not (tmp_path / "calibrate").exists()


# -- evaluate ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def card(again: Path) -> pl.DataFrame:
    return pl.DataFrame(read_json(again / "evaluate" / "scorecard.json"), infer_schema_length=None)


def test_every_model_is_in_the_scorecard_by_every_metric(card: pl.DataFrame) -> None:
    everything = card.filter(pl.col("slice") == "all")
    metrics = {metric.name for metric in METRICS} | {"ivr_at_fpr_0.01", "ivr_at_fpr_0.1"}
    assert set(everything.select("model", "metric").rows()) == {(m, name) for m in MODELS for name in metrics}
    assert len(everything) == len(MODELS) * len(metrics)
    assert everything["value"].is_between(0, 1).all()
    assert card["slice"].n_unique() > 5


def test_the_values_behind_the_scorecard_give_it_again(again: Path, card: pl.DataFrame) -> None:
    units = pl.read_parquet(again / "evaluate" / "units.parquet")
    summed = units.group_by("metric", "slice").agg(
        value=pl.col("numerator").sum() / pl.col("denominator").sum(), n=pl.col("unit").n_unique()
    )
    mine = card.filter((pl.col("model") == "net") & ~pl.col("metric").str.contains("_at_"))
    joined = mine.join(summed, on=("metric", "slice"), suffix="_summed")
    assert len(joined) == len(mine) == len(summed)
    assert np.allclose(joined["value"], joined["value_summed"], rtol=1e-12)
    assert joined["units"].equals(joined["n"].cast(pl.Int64).alias("units"))
    assert (joined["low"] <= joined["value"]).all()
    assert (joined["value"] <= joined["high"]).all()


def test_the_scorecard_is_what_the_decisions_say(again: Path, card: pl.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    rows = pl.read_parquet(again / "evaluate" / "rows.parquet")
    assert len(rows) == len(table.rows(again, "test"))

    def value(metric: str, part: str) -> float:
        line = card.filter((pl.col("model") == "net") & (pl.col("metric") == metric) & (pl.col("slice") == part))
        return float(line["value"].item())

    busiest = rows.filter("good")["slice"].mode()[0]
    for part, frame in (("all", rows), (busiest, rows.filter(pl.col("slice") == busiest))):
        decided, good = (frame["outcome"] == "invalid").to_numpy(), frame["good"].to_numpy()
        assert value("ivr", part) == pytest.approx(decided.mean())
        assert value("fpr", part) == pytest.approx(decided[good].mean())
        assert value("auc", part) == pytest.approx(roc_auc_score(~good, frame["score_net"]))
    heavy = (rows.filter("heavy")["outcome"] == "invalid").to_numpy()
    assert value("coverage", "all") == pytest.approx(heavy.mean())


def test_differences_to_the_baselines_are_those_of_the_aucs_with_their_intervals(
    again: Path, card: pl.DataFrame
) -> None:
    found = read_json(again / "evaluate" / "differences.json")
    assert set(found) == {f"net − {name}" for name in MODELS - {"net"}}
    auc = dict(card.filter((pl.col("metric") == "auc") & (pl.col("slice") == "all")).select("model", "value").rows())
    for name in MODELS - {"net"}:
        gap = found[f"net − {name}"]
        assert gap["metric"] == "auc"
        assert gap["value"] == pytest.approx(auc["net"] - auc[name])
        assert gap["low"] <= gap["value"] <= gap["high"]


def test_any_version_is_evaluated_on_the_rows_of_another_run(work: Path, again: Path, tmp_path: Path) -> None:
    """As the gate does with the champion: its bundle, the candidate's rows."""
    out = tmp_path / "champion"
    out.mkdir()
    ADCLICKS.evaluate(work / "bundle", again, out)
    mine, theirs = (pl.read_parquet(folder / "rows.parquet") for folder in (again / "evaluate", out))
    assert mine["key"].equals(theirs["key"])
    assert mine["score_net"].equals(theirs["score_net"])
    assert set(theirs["outcome"]) == {"valid"}


def test_rows_without_a_purchase_cannot_be_judged(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table.rows(work, "test")
    monkeypatch.setattr(table, "rows", lambda *_: rows[~rows.bought])
    with pytest.raises(DataRefused, match="nothing can be judged on them"):
        ADCLICKS.evaluate(work / "bundle", work, tmp_path)
