"""File names: bytes on disk, `str` with lone surrogates in JSON and query strings, and the mountpoint between."""

from dataclasses import dataclass


class BadPath(ValueError):
    """The path cannot name a file of this file system."""


def text_of(raw: bytes) -> str:
    """Turn the bytes of a name into JSON text; a byte that is not UTF-8 becomes a lone surrogate."""
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Turn JSON text into the bytes of a name; raise BadPath for text that no name can have."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadPath("the path holds a surrogate that stands for no byte") from error
    if b"\0" in raw:
        raise BadPath("the path holds a NUL")
    return raw


@dataclass(frozen=True)
class Mount:
    """The virtual mountpoint, and the way from its paths to paths relative to the real directory and back."""

    point: bytes

    def relative(self, path: bytes) -> bytes:
        """Give the path below the mountpoint without slashes at its ends; the mountpoint itself is empty."""
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        head = [part for part in self.point.split(b"/") if part]
        if not path.startswith(b"/") or b".." in parts or parts[: len(head)] != head:
            raise BadPath(f"the path is not below {text_of(self.point)}")
        return b"/".join(parts[len(head) :])

    def virtual(self, relative: bytes) -> bytes:
        """Give the absolute path that a client sees."""
        return self.point + b"/" + relative if relative else self.point
