"""Headgate's app with keys in Redis that live for a fraction of their time: days of clicks pass in minutes.

python scaled.py PORT FRACTION
"""

import sys
from dataclasses import replace

import uvicorn
from starlette.routing import BaseRoute

from headgate.contract.host import Host
from headgate.domains.adclicks.domain import ADCLICKS
from headgate.domains.adclicks.features.redis_counters import EXPIRY, RedisCounters
from headgate.domains.adclicks.serving.routes import routes
from headgate.serving.app import build
from headgate.serving.process import http
from headgate.serving.redis import connect
from headgate.settings import load


def scaled(host: Host) -> list[BaseRoute]:
    assert host.settings.redis is not None
    counters = RedisCounters(connect(host.settings.redis), 5.0, expiry=round(EXPIRY * float(sys.argv[2])))
    host.beside.append(counters.running)
    return routes(host, counters)


if __name__ == "__main__":
    app = build([replace(ADCLICKS, routes=scaled)], load())
    uvicorn.run(app, port=int(sys.argv[1]), **http())
