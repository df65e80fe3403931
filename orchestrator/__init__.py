"""The doors: where people and processes come in."""
