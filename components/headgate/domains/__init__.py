"""One folder a domain, every one the same rooms. `headgate.domain.NAMES` is all there is to register."""
