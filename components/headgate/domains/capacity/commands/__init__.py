"""`headgate capacity …`: the commands that only this domain has."""
