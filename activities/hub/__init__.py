"""The Hub's API as this engine uses it."""
