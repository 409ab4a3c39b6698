"""The calendar and the masks: what people know of the load and the series cannot tell."""
