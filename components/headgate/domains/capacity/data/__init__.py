"""What comes: the raw schema, its files, importers, and snapshots of them."""
