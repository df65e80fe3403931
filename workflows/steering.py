"""The words by which a run and its segments talk to each other while both are running."""

SEGMENT_DRAINS = "segment_drains"
"""Segment to run: nothing is left to begin, the slots that become free are the next segment's (`Draining`)."""

STEER = "steer"
"""Run to segment: the steering that holds from now on."""
