"""The feature vector of a click: one kernel over arrays, and counters that answer the same online."""
