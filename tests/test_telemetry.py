"""What a serving process logs, and what never."""

import io
import json
import logging

import pytest

from headgate import telemetry

TOKEN = "hg_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


@pytest.fixture
def written():
    """Logs to a text in the format that is named."""
    logger = logging.Logger("headgate.test")

    def write(format, say):
        text, handler = io.StringIO(), telemetry.handler(format)
        handler.setStream(text)
        logger.handlers = [handler]
        say(logger)
        return text.getvalue()

    return write


@pytest.fixture
def request_id():
    reset = telemetry.REQUEST_ID.set("r-1")
    yield "r-1"
    telemetry.REQUEST_ID.reset(reset)


def test_json_is_one_object_a_line(written, request_id):
    (line,) = written("json", lambda logger: logger.warning("two\nlines, %s \ud800", "and more")).splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "WARNING",
        "logger": "headgate.test",
        "message": "two\nlines, and more \ud800",
        "request_id": "r-1",
    }


def test_outside_of_a_request_there_is_no_id(written):
    assert "request_id" not in json.loads(written("json", lambda logger: logger.info("up")))
    assert written("plain", lambda logger: logger.info("up")).endswith("INFO headgate.test: up\n")


def test_the_plain_line_ends_with_the_id(written, request_id):
    assert written("plain", lambda logger: logger.info("up\n")).endswith("INFO headgate.test: up [r-1]\n")


@pytest.mark.parametrize("format", ["plain", "json"])
@pytest.mark.parametrize(
    ("said", "secret"),
    [
        (f"it showed {TOKEN}", TOKEN),
        (f"headers: {{'authorization': 'Bearer {TOKEN}'}}", TOKEN),
        ("Authorization: bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "eyJhbGciOiJIUzI1NiJ9"),
        ("connecting to redis://:s3cret@cache:6379/0", "s3cret"),
        ("postgresql://headgate:s3c:r/e@t@db/headgate is away", "s3c:r/e@t"),
        ("('postgresql+psycopg2://u:s3cret@db', 'x')", "s3cret"),
        ("host=db user=u password=s3cret dbname=h", "s3cret"),
        ("https://hooks.example/x?token=s3cret&y=1", "s3cret"),
    ],
)
def test_secrets_are_not_written_be_they_in_the_text_an_argument_or_a_traceback(written, format, said, secret):
    def say(logger):
        logger.error(said)
        logger.error("%s and %r", said, [said])
        try:
            raise ValueError(said)
        except ValueError:
            logger.exception("it failed")

    text = written(format, say)
    assert text.count("…") + text.count("\\u2026") >= 4
    assert secret not in text


def test_what_is_no_secret_stays():
    for text in ("http://127.0.0.1:8000/v1/models", "s3://bucket/prefix", "the bearer of this", "a@b.example: no"):
        assert telemetry.redact(text) == text


def test_redacting_costs_no_more_than_the_length_of_what_is_logged():
    hostile = ["://a:" * 20_000, "hg_" * 30_000, "bearer " * 15_000, "token=" * 15_000, "://" + "a" * 100_000]
    for text in hostile:  # with a pattern that goes back over what it has read, this takes minutes
        assert TOKEN not in telemetry.redact(f"{text} {TOKEN}")
