"""Bundles and the versions of MLflow's model registry."""
