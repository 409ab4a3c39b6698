"""Which runs are due, the deployments that make them, and how a run ended."""
