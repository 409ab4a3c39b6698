"""The types that everyone shares: the ground under `domain.py`."""
