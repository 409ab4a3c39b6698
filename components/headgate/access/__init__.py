"""Who may ask: bearer tokens, their scopes, and how many requests a second."""
