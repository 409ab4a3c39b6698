"""`adclicks` as a value of the contract."""

from headgate.domain import Domain, Live, late
from headgate.domains.adclicks.expectations import EXPECTATIONS, profile
from headgate.domains.adclicks.judge import judge
from headgate.domains.adclicks.limits import LIMITS
from headgate.domains.adclicks.logged import LOGGED, REHEARSED
from headgate.domains.adclicks.metrics import METRICS
from headgate.domains.adclicks.simulate import SCENARIOS, simulate
from headgate.domains.adclicks.snapshot import take

ADCLICKS = Domain(
    name="adclicks",
    title="Robotic ad clicks",
    snapshot=take,
    profile=profile,
    expectations=EXPECTATIONS,
    train=late("headgate.domains.adclicks.train:train"),
    calibrate=late("headgate.domains.adclicks.calibrate:step"),
    evaluate=late("headgate.domains.adclicks.evaluate:step"),
    judge=judge,
    plots=late("headgate.domains.adclicks.plots:plots"),
    metrics=METRICS,
    limits=LIMITS,
    load=late("headgate.domains.adclicks.predictor:Predictor"),
    decide=late("headgate.domains.adclicks.batch:decide"),
    noticed="invalid",
    score=late("headgate.domains.adclicks.batch:score"),
    routes=late("headgate.domains.adclicks.routes:routes"),
    live=Live(
        logged=LOGGED,
        export=late("headgate.domains.adclicks.exported:export"),
        redecide=late("headgate.domains.adclicks.again:redecide"),
        recompute=late("headgate.domains.adclicks.again:recompute"),
        watched=late("headgate.domains.adclicks.watched:watched"),
        rehearsed=REHEARSED,
    ),
    simulate=simulate,
    scenarios=SCENARIOS,
    demo={"days": 21, "clicks_per_day": 60_000},  # enough purchasing users to certify the budget
    bring_in=late("headgate.domains.adclicks.importers:bring_in"),
)
