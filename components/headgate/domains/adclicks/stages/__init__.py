"""The contract's steps: expectations, train, calibrate, evaluate, judge, plots, and batches."""
