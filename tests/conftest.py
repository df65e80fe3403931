"""What holds for every test."""

from hypothesis import settings

# A machine that is busy is no failure: how long an example takes is measured in benchmarks, never here.
settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")
