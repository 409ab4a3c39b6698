"""What a version is: the regression, its levels and intervals, and the loaded forecaster."""
