"""Lint: what is valid in a policy and probably not what its writer means."""
