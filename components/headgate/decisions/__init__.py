"""The decision log: what was decided, on which vector, by which version. Training, watch and replay read it."""
