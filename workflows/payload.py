"""The base of every value that crosses a Temporal boundary."""

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A frozen value that ignores fields it does not know, so that versions of ours can talk to each other."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
