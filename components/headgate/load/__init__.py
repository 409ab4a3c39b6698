"""An open-loop load generator: requests are due at instants that no answer can move."""
