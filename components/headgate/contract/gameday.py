"""How the traffic of a game day is told from people's: its names begin with a tag, and its IPs are nobody's.

The tag stands where the log keeps it, in the campaign, and in the names of users and sessions, so that no real user is
counted or looked up for it. Who clicks may choose a campaign's name, but not an IP of these ranges: from any other the
tag does not count.
"""

TAG = "gameday:"

#: The ranges that are set aside for benchmarks: 198.18.0.0/15 by RFC 2544, 2001:2::/48 by RFC 5180.
HOMES, GATEWAYS, HOMES_V6 = "198.18.", "198.19.", "2001:2:0:"
RANGES = (HOMES, GATEWAYS, HOMES_V6)


def tag_of(event: str) -> str:
    """What the names of the game day of `event` begin with; short enough to leave room for the names."""
    return f"{TAG}{event[:100]}/"
