"""Our HTTP: endpoints, what a request may take, problems, OpenAPI and the docs page."""
