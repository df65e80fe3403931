"""Pure: what should happen, decided without clock, disk, network or environment."""
