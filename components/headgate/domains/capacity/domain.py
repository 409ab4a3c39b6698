"""`capacity` as a value of the contract."""

from headgate.contract.demonstration import Demonstration
from headgate.contract.live import Live
from headgate.domain import Domain, late
from headgate.domains.capacity.companions.followed import COMPANIONS
from headgate.domains.capacity.limits import LIMITS, METRICS, OUTCOMES
from headgate.domains.capacity.serving.log_rows import LOG, observe
from headgate.domains.capacity.simulated.scenarios import SCENARIOS
from headgate.domains.capacity.simulated.sizes import DEMO, SMALL
from headgate.domains.capacity.stages.expectations import EXPECTATIONS

CAPACITY = Domain(
    name="capacity",
    title="Load forecasts",
    snapshot=late("headgate.domains.capacity.data.snapshots:take_snapshot"),
    profile=late("headgate.domains.capacity.stages.profile:profile"),
    expectations=EXPECTATIONS,
    train=late("headgate.domains.capacity.stages.train:train"),
    calibrate=late("headgate.domains.capacity.stages.calibrate:step"),
    evaluate=late("headgate.domains.capacity.stages.evaluate:step"),
    judge=late("headgate.domains.capacity.stages.judge:judge"),
    plots=late("headgate.domains.capacity.stages.plots:plots"),
    metrics=METRICS,
    limits=LIMITS,
    depends_on=("adclicks",),  # minutes full of robots are masked by what it decides against
    outcomes=OUTCOMES,
    load=late("headgate.domains.capacity.model.forecaster:Forecaster"),
    decide=late("headgate.domains.capacity.stages.batch:decide"),
    score=late("headgate.domains.capacity.stages.batch:score"),
    routes=late("headgate.domains.capacity.serving.routes:routes"),
    pages=late("headgate.domains.capacity.pages.routes:pages"),
    companions=COMPANIONS,
    live=Live(log=LOG, observe=observe, redecide=late("headgate.domains.capacity.serving.redecide:redecide")),
    simulate=late("headgate.domains.capacity.simulated.simulator:simulate"),
    scenarios=SCENARIOS,
    demonstration=Demonstration(
        scenario="on-sale",
        prepare=late("headgate.domains.capacity.demonstration.calendar:put_in_force"),
        furnish=late("headgate.domains.capacity.demonstration.orders:plan_orders"),
        traffic=late("headgate.domains.capacity.demonstration.traffic:traffic"),
    ),
    demo=DEMO,
    small=SMALL,
    import_data=late("headgate.domains.capacity.data.importing:import_data"),
    formats={
        "csv": "a table with a point a line, with --map and --set",
        "cloudwatch": "a metric of AWS CloudWatch, FILE is its NAMESPACE/METRIC, with --set",
    },
    commands=late("headgate.domains.capacity.commands.app:commands"),
)
