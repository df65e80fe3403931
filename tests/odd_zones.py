"""Time zones of our own, whose wall clocks show a full minute whenever a test wants: windows end with a minute."""

import struct
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from pathlib import Path

from workflows.running import Window

NOON = time(12)


class OddZones:
    """Writes zone files (RFC 9636) with an offset in seconds, where this process finds them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "Test"
        self._folder.mkdir(parents=True)

    def noon_at(self, moment: datetime) -> str:
        """Make a zone whose clocks show noon at a moment, and give its name."""
        clock = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
        return self.made(timedelta(hours=12) - clock)

    def made(self, offset: timedelta, *changes: tuple[datetime, timedelta]) -> str:
        """Make a zone with an offset and the changes of its clocks, and give its name."""
        offsets = [offset, *(after for _, after in changes)]
        name = f"Zone{len(list(self._folder.iterdir()))}"
        data = b"TZif" + bytes(16) + struct.pack(">6L", 0, 0, 0, len(changes), len(offsets), 4)
        data += b"".join(struct.pack(">l", round(moment.timestamp())) for moment, _ in changes)
        data += bytes(range(1, len(offsets)))
        data += b"".join(struct.pack(">lBB", round(one.total_seconds()), 0, 0) for one in offsets) + b"ODD\0"
        (self._folder / name).write_bytes(data)
        return f"Test/{name}"

    def until(self, moment: datetime) -> Window:
        """Make a window that closes at a moment, in whole seconds, after six hours."""
        return Window(start=time(6), end=NOON, timezone=self.noon_at(moment))

    def since(self, moment: datetime) -> Window:
        """Make a window that opens at a moment, in whole seconds, for six hours."""
        return Window(start=NOON, end=time(18), timezone=self.noon_at(moment))


@contextmanager
def odd_zones(folder: Path) -> Iterator[OddZones]:
    """Have such zones for as long as the block lasts."""
    before = zoneinfo.TZPATH
    zones = OddZones(folder)
    zoneinfo.reset_tzpath([str(folder), *before])
    try:
        yield zones
    finally:
        zoneinfo.reset_tzpath(before)
        zoneinfo.ZoneInfo.clear_cache()
