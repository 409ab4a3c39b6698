"""Game days: the load of an event rehearsed on a target, the rate at which it breaks, and what an instance carries."""
