"""The embedded Hub: a real HTTP server that tiers a real directory."""
