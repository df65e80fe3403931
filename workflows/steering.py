"""The words by which a run and its segments talk to each other while both are running."""

SEGMENT_DRAINS = "segment_drains"
"""Segment to run: nothing is left to begin, the slots that become free are the next segment's (`Draining`)."""

STEER = "steer"
"""Run to segment: the steering that holds from now on."""

HEAR = "hear"
"""Run to segment: what the segment before it learned after it had handed the pace over (`Heard`)."""

ADAPTED = "adapted"
"""Segment to run: the concurrency is another now, since more or fewer jobs are better (`SlotsStep`)."""

BREAKER = "breaker"
"""Segment to run: the breaker stands otherwise now (`BreakerChange`)."""
