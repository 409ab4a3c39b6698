"""`headgate adclicks …`: the commands that only this domain has."""
