"""Budgets shared by slices, and certificates with a stated confidence."""
