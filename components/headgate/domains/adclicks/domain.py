"""`adclicks` as a value of the contract."""

from headgate.contract.demonstration import Demonstration
from headgate.contract.live import Live
from headgate.contract.requests import Requests
from headgate.domain import Domain, late
from headgate.domains.adclicks.companions.followed import COMPANIONS
from headgate.domains.adclicks.limits import LIMITS, METRICS, OUTCOMES
from headgate.domains.adclicks.serving.log_rows import LOG, observe
from headgate.domains.adclicks.simulated.scenarios import SCENARIOS
from headgate.domains.adclicks.simulated.sizes import DEMO, SMALL
from headgate.domains.adclicks.stages.expectations import EXPECTATIONS, profile
from headgate.domains.adclicks.stages.judge import judge

ADCLICKS = Domain(
    name="adclicks",
    title="Robotic ad clicks",
    snapshot=late("headgate.domains.adclicks.data.snapshots:take_snapshot"),
    profile=profile,
    expectations=EXPECTATIONS,
    train=late("headgate.domains.adclicks.stages.train:train"),
    calibrate=late("headgate.domains.adclicks.stages.calibrate:step"),
    evaluate=late("headgate.domains.adclicks.stages.evaluate:step"),
    judge=judge,
    plots=late("headgate.domains.adclicks.stages.plots:plots"),
    metrics=METRICS,
    limits=LIMITS,
    outcomes=OUTCOMES,
    load=late("headgate.domains.adclicks.model.predictor:Predictor"),
    decide=late("headgate.domains.adclicks.stages.batch:decide"),
    score=late("headgate.domains.adclicks.stages.batch:score"),
    routes=late("headgate.domains.adclicks.serving.routes:routes"),
    companions=COMPANIONS,
    live=Live(
        log=LOG,
        observe=observe,
        redecide=late("headgate.domains.adclicks.serving.redecide:redecide"),
        recompute=late("headgate.domains.adclicks.serving.redecide:recompute"),
        export=late("headgate.domains.adclicks.serving.export:export"),
    ),
    simulate=late("headgate.domains.adclicks.simulated.simulator:simulate"),
    scenarios=SCENARIOS,
    demo=DEMO,
    small=SMALL,
    requests=Requests(
        path="/v1/adclicks/decisions",
        events="clicks",
        draw=late("headgate.domains.adclicks.simulated.requests:Clicks"),
        decided=b'"decision_id":',
        by_default=b'"pending":true',
    ),
    rehearsal=late("headgate.domains.adclicks.stages.rehearsal:rehearsal"),
    demonstration=Demonstration(traffic=late("headgate.domains.adclicks.simulated.traffic:traffic")),
    import_data=late("headgate.domains.adclicks.data.importers:import_data"),
    formats={"csv": "any delimited text, with --map", "talkingdata": "the public log of an ad network"},
    commands=late("headgate.domains.adclicks.commands.app:commands"),
)
