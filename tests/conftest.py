"""What holds for every test."""

import os

from hypothesis import settings

# A machine that is busy is no failure: how long an example takes is measured in benchmarks, never here.
settings.register_profile("same", deadline=None, derandomize=True)
# `make fuzz`: other examples each time, for the property that nobody has broken yet.
settings.register_profile("fuzz", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
