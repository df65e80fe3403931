"""What one local Hub is told at its start."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

GIB = 1 << 30
_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}iB": 1 << (10 * power) for power, letter in enumerate("KMGTP", start=1)}
_UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGTP", start=1)} | {"kB": 1000}


@dataclass(frozen=True, kw_only=True)
class LocalHubConfig:
    """The settings of one local Hub; sizes are bytes, marks are percent of a pool."""

    root: Path
    state: Path
    site: str = "london"
    mountpoint: str = "/mmfs1"
    spaces: tuple[str, ...] = ("projects",)
    host: str = "127.0.0.1"
    port: int = 0
    capacity: int = 10 * GIB
    target_capacity: int = 100 * GIB
    low_space_mark: float = 90.0
    threads: int = 4
    dialect: str = "standard"
    faults: Path | None = None
    ready_file: Path | None = None
    admin_key_file: Path | None = None
    admin_password_file: Path | None = None
    access_lifetime: timedelta = field(default=timedelta(hours=1))
    refresh_lifetime: timedelta = field(default=timedelta(days=1))
    file_delay: float = 0.0
    bytes_per_second: int | None = None

    @property
    def filesystem(self) -> Path:
        """The real directory that the mountpoint stands for."""
        return self.root / self.site

    @property
    def target(self) -> Path:
        """The real directory that holds the copies."""
        return self.root / "nearline"

    @property
    def key_file(self) -> Path:
        """The file that holds the administrator's client key."""
        return self.admin_key_file or self.state / "admin.key"

    @property
    def password_file(self) -> Path:
        """The file that holds the administrator's password."""
        return self.admin_password_file or self.state / "admin.password"


def parse_size(text: str) -> int:
    """Read a size such as `10GiB`, `500MB` or `4096` as bytes; raise ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"not a size: {text!r} (say for example 10GiB)")
    return int(float(found[1]) * _UNITS[found[2]])
