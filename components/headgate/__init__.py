"""Headgate retrains models every day and lets a new one reach traffic only through a gate that can say why."""
