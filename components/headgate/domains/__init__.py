"""One folder a domain, every one the same few files."""
