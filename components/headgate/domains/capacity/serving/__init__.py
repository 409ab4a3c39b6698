"""What is answered: routes, the log's columns, and decisions made again."""
