"""Forecasts turned into orders: a fleet plan, checked, shown, and placed when told."""
