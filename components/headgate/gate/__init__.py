"""Checks, their three outcomes, and the verdict."""
