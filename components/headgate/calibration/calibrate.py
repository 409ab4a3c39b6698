"""Calibration as a whole: what is published, on what certificate, and what other methods would have done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headgate.calibration.budget import Path, budget_path, infeasible, knapsack, linear_programme, plug_in
from headgate.calibration.certificate import NAMES, Certificate, by_name, certify
from headgate.calibration.curves import Floats, Rows, curve, invalid, knee
from headgate.calibration.quadratic import quadratic
from headgate.errors import HeadgateError

PIECES = 16  # into how many steps the certified path cuts a block of the hull


@dataclass(frozen=True)
class Operating:
    """Thresholds that nothing certifies, with their rates over rows on A, where they were chosen, and on held-out B."""

    thresholds: dict[str, float | None]
    ivr: float
    fpr: float
    fpr_held_out: float | None


@dataclass(frozen=True)
class Calibration:
    """The outcome of `calibrate`. `dataclasses.asdict` makes it JSON; a threshold None never invalidates."""

    alpha: float
    delta: float
    certified: bool
    published: str | None  # the certificate whose thresholds are published: "slices", "global", or none
    thresholds: dict[str, float | None] | None  # by slice; None where nothing is certified
    certificates: dict[str, Certificate]  # "slices" and "global", each at δ/2
    comparison: dict[str, Operating]  # "hull plug-in", "global plug-in", "quadratic", "knee"; without the infeasible
    optimum: float | None  # IVR on A of the hull's fractional optimum; None where infeasible

    def words(self, who: str = "users with a good row", what: str = "good rows") -> str:
        """What is published and why, one sentence or two a method; `who` and `what` are the domain's plurals."""
        head = "Nothing is certified, so nothing is published."
        if self.published:
            head = f"Published: {NAMES[self.published].lower()}."
        return "\n".join([head, *(certificate.words(who, what) for certificate in self.certificates.values())])


def calibrate(
    a: Rows,
    b: Rows,
    slices: Sequence[str],
    *,
    alpha: float,
    delta: float = 0.05,
    floors: Mapping[str, float] | None = None,
    compare: bool = True,
) -> Calibration:
    """Thresholds over slices under one false-positive budget `alpha`, wrong with a probability of at most `delta`.

    The budget path and the path of one global threshold are made on the older rows `a`, each is certified on the newer
    rows `b` at δ/2, and of the certified ones that with more rows of `a` invalidated is published. Nothing is relaxed:
    where floors or evidence do not suffice, `thresholds` is None and the certificates say what it would take. `compare`
    adds what other methods choose, and holds the path against the linear programme (a second or so).
    Raises HeadgateError where a user with good rows in `b` is in `a` too, since the certificate would not hold, and
    DataRefused where `a` has no good row.
    """
    if shared := set(b.user[b.good].tolist()).intersection(a.user.tolist()):
        raise HeadgateError(f"{len(shared)} users are on both sides of the calibration; split its rows by user.")
    paths = {
        "slices": budget_path(a, slices, floors, pieces=PIECES),
        "global": budget_path(a, slices, floors, pooled=True, pieces=PIECES),
    }
    certificates = {
        method: certify(path, b, alpha=alpha, delta=delta / 2, method=method) for method, path in paths.items()
    }
    holding = [certificate for certificate in certificates.values() if certificate.certified]
    best = max(holding, key=lambda certificate: certificate.ivr, default=None)
    hull = budget_path(a, slices, floors)
    return Calibration(
        alpha=alpha,
        delta=delta,
        certified=best is not None,
        published=best.method if best else None,
        thresholds=best.thresholds if best else None,
        certificates=certificates,
        comparison=_compare(a, b, slices, alpha, floors, {"hull": hull, "global": paths["global"]}) if compare else {},
        optimum=_optimum(hull, a, slices, alpha, floors, check=compare),
    )


def _optimum(
    hull: Path, a: Rows, slices: Sequence[str], alpha: float, floors: Mapping[str, float] | None, *, check: bool
) -> float | None:
    """The fractional optimum, held against the linear programme."""
    optimum = None if infeasible(hull, alpha) else knapsack(hull, alpha)
    if check:
        programme = linear_programme(a, slices, alpha, floors)
        if (optimum is None) != (programme is None) or abs((optimum or 0) - (programme or 0)) > 1e-6:
            raise HeadgateError(
                f"The knapsack's optimum {optimum} is not the programme's {programme}; this is a fault."
            )
    return optimum


def _compare(
    a: Rows, b: Rows, slices: Sequence[str], alpha: float, floors: Mapping[str, float] | None, paths: dict[str, Path]
) -> dict[str, Operating]:
    """What the methods without a certificate choose on `a`."""
    chosen = {
        f"{name} plug-in": path.thresholds(plug_in(path, alpha))
        for name, path in paths.items()
        if not infeasible(path, alpha)
    }
    if (thresholds := quadratic(a, slices, alpha, floors)) is not None:
        chosen["quadratic"] = thresholds
    whole = curve(a.score, a.good)
    chosen["knee"] = np.full(len(slices), whole.threshold[knee(whole)], np.float32)
    return {name: _operating(thresholds, a, b, slices) for name, thresholds in chosen.items()}


def _operating(thresholds: Floats, a: Rows, b: Rows, slices: Sequence[str]) -> Operating:
    on_a, on_b = (invalid(rows.score, rows.slice, thresholds) for rows in (a, b))
    return Operating(
        thresholds=by_name(slices, thresholds),
        ivr=float(on_a.mean()),
        fpr=float(on_a[a.good].mean()),
        fpr_held_out=float(on_b[b.good].mean()) if b.good.any() else None,
    )
