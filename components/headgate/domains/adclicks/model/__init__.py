"""What a version is: the net, its baselines, and the loaded predictor."""
