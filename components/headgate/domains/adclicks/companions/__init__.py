"""Lookups: what serving knows of accounts and campaigns besides what a click says."""
