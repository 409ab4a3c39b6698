"""What ad clicks are measured by.

IVR, the invalidation rate: invalidated of all clicks. FPR: invalidated of the purchasing clicks. Coverage: invalidated
of the clicks of sessions that the heuristic holds for robots. AUC: the chance that a click that bought nothing scores
above one that did.
"""

from headgate.domain import Metric

METRICS = (
    Metric("ivr", "Invalidation rate", +1, "user", 0.0),
    Metric("fpr", "False-positive rate", -1, "user", 24.0),
    Metric("coverage", "Robotic coverage", +1, "user", 1.0),
    Metric("auc", "AUC of purchasing against other clicks", +1, "user", 24.0),
)
