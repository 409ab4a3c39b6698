"""The clicks of a load are such as Headgate takes, of people who are as uneven as people are."""

from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest

from headgate.contract.gameday import TAG, tag_of
from headgate.contract.requests import Target
from headgate.domains.adclicks.features.click import campaign_of
from headgate.domains.adclicks.serving.routes import PostedClick
from headgate.domains.adclicks.simulated.requests import Clicks

TARGET = Target("http://127.0.0.1:8000", "/v1/adclicks/decisions", token="hg_secret")
WALL = datetime(2026, 1, 5, 9, 30, tzinfo=UTC).timestamp() + 0.25


def body_of(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/adclicks/decisions HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert b"\r\nAuthorization: Bearer hg_secret" in head
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    return body


def posted(clicks: Clicks, number: int) -> PostedClick:
    return msgspec.json.decode(body_of(clicks.request(number, WALL)), type=PostedClick)


def test_each_request_is_a_click_of_its_own_that_happens_when_it_is_due():
    clicks = Clicks(2000, TARGET)
    made = [posted(clicks, n) for n in range(2000)]
    assert [click.click_id for click in made] == [clicks.click_id(n) for n in range(2000)]
    assert len({click.click_id for click in made}) == 2000
    assert {click.event_time.timestamp() for click in made} == {WALL}
    assert len({click.event_time.utcoffset() for click in made}) > 2


def test_users_and_ips_are_those_of_the_seed_and_ids_are_new_in_every_run():
    one, again, other = Clicks(200, TARGET), Clicks(200, TARGET), Clicks(200, TARGET, seed=1)
    users = [[posted(clicks, n).user_id for n in range(200)] for clicks in (one, again, other)]
    assert users[0] == users[1] != users[2]
    assert one.click_id(0) != again.click_id(0)


def test_some_ips_and_users_are_hot():
    clicks = Clicks(20_000, TARGET)
    made = [posted(clicks, n) for n in range(20_000)]
    (_, busiest), *_ = Counter(click.ip for click in made).most_common(1)
    assert 0.03 < busiest / len(made) < 0.15
    (_, robot), *_ = Counter(click.user_id for click in made).most_common(1)
    assert robot > 20  # of the others most click once


def test_a_batch_is_a_list_and_repeats_no_click():
    clicks = Clicks(10, TARGET, batch=7)
    made = [
        click
        for n in range(10)
        for click in msgspec.json.decode(body_of(clicks.request(n, WALL)), type=list[PostedClick])
    ]
    assert [click.click_id for click in made] == [clicks.click_id(n) for n in range(70)]


@pytest.mark.parametrize("batch", [None, 2])
def test_another_server_gets_what_it_wants_around_the_clicks(batch: int | None):
    clicks = Clicks(1, TARGET, batch=batch, around=(b'{"inputs":', b"}"))
    inside = msgspec.json.decode(body_of(clicks.request(0, WALL)))["inputs"]
    assert msgspec.convert(inside, PostedClick | list[PostedClick])


def test_a_tag_leads_every_name_that_is_kept_and_changes_nothing_else():
    plain, tagged = Clicks(2000, TARGET, run="r"), Clicks(2000, TARGET, run="r", tag=tag_of("sale"))
    for number in range(2000):
        one, other = posted(plain, number), posted(tagged, number)
        assert other.campaign.startswith(TAG)
        for name in ("user_id", "session_id", "campaign"):
            assert getattr(other, name) == f"gameday:sale/{getattr(one, name)}"
        assert (other.ip, other.device, other.rfm, other.click_id) == (one.ip, one.device, one.rfm, one.click_id)
        assert campaign_of(other.campaign, other.ip) == other.campaign, "it comes from where only game days come from"


def test_who_clicks_cannot_pass_for_a_game_day():
    assert campaign_of("gameday:sale/campaign-1", "203.0.113.7") == "not-gameday:sale/campaign-1"
    assert campaign_of("spring", "203.0.113.7") == "spring"
