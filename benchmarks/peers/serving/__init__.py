"""The serving benchmark: each part is a module whose `report` measures and writes its section."""
