"""What `make run` shows of load: a calendar in force with a sale that is on, a plan of orders, and load as it comes."""
