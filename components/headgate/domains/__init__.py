"""One folder a domain, every one the same rooms. `NAMES` is all there is to register."""

#: Every domain by name: the folder `NAME` with its `domain.py`, which holds the value `NAME` in capitals.
NAMES = ("adclicks", "capacity")
