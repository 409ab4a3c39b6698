"""Names of persons as they are kept."""
