"""The console's pages for planners: the forecast and its calendar, an event as it runs, and the orders."""
