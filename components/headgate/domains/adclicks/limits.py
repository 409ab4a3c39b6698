"""What the gate and the calibration demand of a version of `adclicks`: plain values, in one place."""

from headgate.contract.limits import Comparison, Headline, Limits, Metric, Watch
from headgate.contract.outcomes import Outcomes
from headgate.domains.adclicks.features.kernel import FEATURES

#: What is decided of a click.
OUTCOMES = Outcomes({"valid": "valid", "invalid": "invalid"}, adverse=("invalid",))

# IVR, the invalidation rate: invalidated of all clicks. FPR: invalidated of the purchasing clicks. Coverage:
# invalidated of the clicks of sessions that the heuristic holds for robots. AUC: the chance that a click that bought
# nothing scores above one that did.
METRICS = (
    Metric("ivr", "Invalidation rate", +1, "user", 0.0, share=True),
    Metric("fpr", "False-positive rate", -1, "user", 24.0, share=True),
    Metric("coverage", "Robotic coverage", +1, "user", 1.0, share=True),
    Metric("auc", "AUC of purchasing against other clicks", +1, "user", 24.0, share=True),
)

#: Invalidated of the clicks of accounts that are known to be good as they are decided: what the watch looks at.
WRONGED = "wronged"

#: The budget: at most this share of the purchasing users is wronged …
ALPHA = 0.01

#: … and the certificate that says so is wrong with at most this probability.
DELTA = 0.05

#: Every slice catches at least this share of what the heuristic holds for robots …
COVERAGE_FLOOR = 0.05

#: … unless these clicks are of fewer users than this: the share of a handful says nothing of robots.
LEAST_HEAVY_USERS = 10

#: A slice with fewer purchasing clicks than this to draw its curve from shares its parent's.
LEAST_PURCHASES = 100

#: Fitting on weighted clicks that are worth fewer than this is fitting noise.
LEAST_EFFECTIVE = 200

#: Share of the purchasing clicks known to be good that may newly be invalidated: twice the budget.
KNOWN_GOOD_FLIPS = 2 * ALPHA

#: Share of all decisions that may change before a person should look.
TRAFFIC_FLIPS = 0.15

#: Features that differ from day to day without anything having drifted.
CALENDAR = ("hour", "weekday")

#: Against the champion, on the same clicks, paired by user.
LIMITS = Limits(
    comparisons=(
        Comparison("auc", margin=0.02, slice_margin=0.05),
        Comparison("ivr", margin=0.10, slice_margin=0.25),
        Comparison("fpr", margin=0.02, slice_margin=0.02),
    ),
    latency_ratio=3.0,
    headline=Headline("fpr", limit=ALPHA),
    watch=Watch(
        metric=WRONGED,
        units="users of a high RFM score",
        wronged=KNOWN_GOOD_FLIPS,
        newly=ALPHA,
        slices=16,
        drifting=("score", *(f"features[{n}]" for n, name in enumerate(FEATURES) if not name.startswith(CALENDAR))),
    ),
)
