"""Rehearsed failures: each plays a disaster on a scratch copy and holds what happened against what was promised."""
