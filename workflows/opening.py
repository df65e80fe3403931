"""When a run's windows are open: spans of time that an activity computes, and what they say of one moment."""

from datetime import datetime

from workflows.payload import Payload


class Span(Payload):
    """A time, in UTC, in which batches may be sent; its end is not part of it."""

    start: datetime
    end: datetime


class OpenTimes(Payload):
    """The spans of the coming weeks, in order and apart from each other, and until when they are known.

    A span that goes on beyond `known_until` ends there.
    """

    spans: tuple[Span, ...] = ()
    known_until: datetime

    def at(self, now: datetime) -> "Opening":
        """Say what holds at a moment, and until when."""
        for span in self.spans:
            if now < span.start:
                return Opening(closed_until=span.start)
            if now < span.end:
                return Opening(open_until=span.end)
        return Opening(closed_until=self.known_until)


class Opening(Payload):
    """Open until a moment, or closed until one; neither where there are no windows."""

    open_until: datetime | None = None
    closed_until: datetime | None = None

    @property
    def changes_at(self) -> datetime | None:
        """The moment at which it is otherwise."""
        return self.open_until or self.closed_until
