"""The hidden world: raw data with a truth kept apart. It imports no model code."""
