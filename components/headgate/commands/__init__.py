"""Commands that the command line joins, by what they are about."""
