"""Sources, profiles and their expectations, and the versions of datasets."""
