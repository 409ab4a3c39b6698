"""What the simulator can play, by name."""

#: Every scenario by name, in a line. But for its fault a scenario is `calm` with the same seed.
SCENARIOS: dict[str, str] = {
    "calm": "daily, weekly and yearly rhythm, sales and holidays, and no fault",
    "sale-moved": "the day before the last, the next sale is moved by three days and stretched from 24 to 48 hours",
    "on-sale": "a sale of two days begins as the last day ends, and another one comes some days later",
    "launch": "three launches that sell out within minutes: two in the past, one three days after the last day",
    "robots": "two blocks of robots and one of customers kept out by mistake; people noted only the first",
    "outage": "hours of zeros, of nothing, of late points and of throttling, and a load test",
    "slope-break": "after 60 % of the days the growth of all regions turns into a fast decline",
    "new-service": "a service that is ten days old on the last day, with an older one that it resembles",
}
