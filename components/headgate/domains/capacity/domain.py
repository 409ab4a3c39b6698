"""`capacity` as a value of the contract."""

from headgate.domain import Domain, Live, late
from headgate.domains.capacity.expectations import EXPECTATIONS
from headgate.domains.capacity.limits import LIMITS
from headgate.domains.capacity.logged import LOGGED
from headgate.domains.capacity.metrics import METRICS
from headgate.domains.capacity.simulate import SCENARIOS, simulate

CAPACITY = Domain(
    name="capacity",
    title="Load forecasts",
    snapshot=late("headgate.domains.capacity.snapshot:take"),
    profile=late("headgate.domains.capacity.profile:profile"),
    expectations=EXPECTATIONS,
    train=late("headgate.domains.capacity.train:train"),
    calibrate=late("headgate.domains.capacity.calibrate:step"),
    evaluate=late("headgate.domains.capacity.evaluate:step"),
    judge=late("headgate.domains.capacity.judge:judge"),
    plots=late("headgate.domains.capacity.plots:plots"),
    metrics=METRICS,
    limits=LIMITS,
    load=late("headgate.domains.capacity.forecaster:Forecaster"),
    decide=late("headgate.domains.capacity.batch:decide"),
    noticed="outside their 90 % band",
    score=late("headgate.domains.capacity.batch:score"),
    routes=late("headgate.domains.capacity.routes:routes"),
    live=Live(
        logged=LOGGED,
        export=late("headgate.domains.capacity.logged:export"),
        redecide=late("headgate.domains.capacity.again:redecide"),
        recompute=late("headgate.domains.capacity.again:recompute"),
        watched=late("headgate.domains.capacity.watched:watched"),
    ),
    simulate=simulate,
    scenarios=SCENARIOS,
    demo={"days": 70, "regions": 2, "services": 3, "weekly_years": 6},
    bring_in=late("headgate.domains.capacity.importing:bring_in"),
)
