"""Pages for people: the state of every domain, what the gate said, and whatever pages a domain brings."""
