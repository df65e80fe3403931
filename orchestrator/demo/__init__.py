"""A rehearsal on one machine: a project tree to tier, and the proof that nothing was lost."""
