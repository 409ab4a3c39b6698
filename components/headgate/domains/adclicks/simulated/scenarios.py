"""What the simulator can play, by name."""

#: Every scenario by name, in a line. A fault falls on the second last day, the last whose labels are mature by the
#: midnight that ends the simulation; the days before it are those of `calm` with the same seed.
SCENARIOS: dict[str, str] = {
    "calm": "natural swings, weekends and sales days, and no fault",
    "attack": "the known kinds of robots click four times as much on the second last day",
    "label-outage": "the purchases of six hours at the people's peak of the second last day are lost",
    "new-robots": "a sixth kind of robot appears after 60 % of the days and makes about an eighth of all clicks",
    "duplicates": "on the second last day 5 % of the clicks are delivered twice",
    "late-clicks": "on the second last day a third of one collector's clicks arrive 20 to 50 minutes late",
    "gateway": "for the last five days a tenth of all people share three addresses of a new carrier",
}
