"""Where inventories, manifests and outcomes live: a directory by default, an object store by URL."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import from_url


class Exists(Exception):
    """The name is taken, and what is written create-only is never replaced."""


class Missing(Exception):
    """Nothing is stored under this name."""


class Storage(Protocol):
    """Named byte strings; a name is written whole or not at all, and is durable once the call returns."""

    def __hash__(self) -> int: ...

    def put(self, name: str, content: bytes) -> None:
        """Store the content, replacing what was there."""

    def put_new(self, name: str, content: bytes) -> None:
        """Store the content under a name that is still free, else raise `Exists`."""

    def get(self, name: str) -> bytes:
        """Read the content, or raise `Missing`."""

    def exists(self, name: str) -> bool:
        """Tell whether something is stored under exactly this name."""

    def list(self, prefix: str) -> list[str]:
        """Give the names below a folder, sorted."""

    def delete(self, prefix: str) -> None:
        """Remove a name and everything below it; nothing there is fine."""

    def local_path(self, name: str) -> Path | None:
        """Give the file that holds the name, where there is one."""

    def upload(self, local: Path, name: str) -> None:
        """Store a local file, which is gone afterwards."""

    def fetch(self, name: str, folder: Path) -> Path:
        """Give a local file with the content; a copy is made inside the folder where there is none."""

    def reader(self, name: str) -> Any:
        """Open the content for reading with `seek`, as a path or file object that Parquet readers take."""


def open_storage(location: str | Path) -> Storage:
    """Open a directory (made when missing) or, with a URL such as `s3://bucket/prefix`, an object store."""
    text = str(location)
    if text.startswith("file://"):
        return DirectoryStorage(Path(text.removeprefix("file://")))
    if "://" in text:
        return ObjectStorage(text)
    return DirectoryStorage(Path(text))


class DirectoryStorage:
    """Files in a directory; written beside their place, synced, then moved there.

    obstore's own directory store does not sync, so a power cut could leave an empty manifest under its final name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"DirectoryStorage({str(self.root)!r})"

    def put(self, name: str, content: bytes) -> None:
        """Store the content, replacing what was there."""
        with self._written(name, content) as (written, target):
            written.replace(target)

    def put_new(self, name: str, content: bytes) -> None:
        """Store the content under a name that is still free, else raise `Exists`."""
        with self._written(name, content) as (written, target):
            try:
                target.hardlink_to(written)
            except FileExistsError as error:
                raise Exists(name) from error

    def get(self, name: str) -> bytes:
        """Read the content, or raise `Missing`."""
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise Missing(name) from error

    def exists(self, name: str) -> bool:
        """Tell whether something is stored under exactly this name."""
        return self._path(name).is_file()

    def list(self, prefix: str) -> list[str]:
        """Give the names below a folder, sorted."""
        found = self._path(prefix).rglob("*") if prefix else self.root.rglob("*")
        return sorted(
            path.relative_to(self.root).as_posix() for path in found if path.is_file() and not _is_temporary(path)
        )

    def delete(self, prefix: str) -> None:
        """Remove a name and everything below it; nothing there is fine."""
        path = self._path(prefix)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def local_path(self, name: str) -> Path | None:
        """Give the file that holds the name, where there is one."""
        return self._path(name)

    def upload(self, local: Path, name: str) -> None:
        """Store a local file, which is gone afterwards."""
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if local.stat().st_dev != target.parent.stat().st_dev:
            near = _beside(target)
            shutil.copyfile(local, near)
            local.unlink()
            local = near
        _sync(local)
        local.replace(target)
        _sync(target.parent)

    def fetch(self, name: str, folder: Path) -> Path:
        """Give a local file with the content; a copy is made inside the folder where there is none."""
        path = self._path(name)
        if not path.is_file():
            raise Missing(name)
        return path

    def reader(self, name: str) -> Any:
        """Open the content for reading with `seek`, as a path or file object that Parquet readers take."""
        return self.fetch(name, self.root)

    def _path(self, name: str) -> Path:
        return self.root / _checked(name)

    @contextmanager
    def _written(self, name: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        written = _beside(target)
        try:
            with written.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield written, target
            _sync(target.parent)
        finally:
            written.unlink(missing_ok=True)


class ObjectStorage:
    """An object store by URL; credentials come from the environment in the way of its vendor."""

    def __init__(self, url: str) -> None:
        self._store = from_url(url)
        self._url = url
        self._shown = url.split("?")[0]

    def __repr__(self) -> str:
        return f"ObjectStorage({self._shown!r})"

    def __reduce__(self) -> tuple[type["ObjectStorage"], tuple[str]]:
        """Open the store again in another process, with the credentials of the environment."""
        return ObjectStorage, (self._url,)

    def put(self, name: str, content: bytes) -> None:
        """Store the content, replacing what was there."""
        obstore.put(self._store, _checked(name), content)

    def put_new(self, name: str, content: bytes) -> None:
        """Store the content under a name that is still free, else raise `Exists`."""
        try:
            obstore.put(self._store, _checked(name), content, mode="create")
        except AlreadyExistsError as error:
            raise Exists(name) from error

    def get(self, name: str) -> bytes:
        """Read the content, or raise `Missing`."""
        try:
            return bytes(obstore.get(self._store, _checked(name)).bytes())
        except FileNotFoundError as error:
            raise Missing(name) from error

    def exists(self, name: str) -> bool:
        """Tell whether something is stored under exactly this name."""
        try:
            obstore.head(self._store, _checked(name))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """Give the names below a folder, sorted."""
        below = _checked(prefix) + "/" if prefix else None
        return sorted(entry["path"] for page in obstore.list(self._store, below) for entry in page)

    def delete(self, prefix: str) -> None:
        """Remove a name and everything below it; nothing there is fine."""
        names = [*self.list(prefix), *([prefix] if self.exists(prefix) else [])]
        if names:
            obstore.delete(self._store, names)

    def local_path(self, name: str) -> Path | None:
        """Give the file that holds the name, where there is one."""
        return None

    def upload(self, local: Path, name: str) -> None:
        """Store a local file, which is gone afterwards."""
        obstore.put(self._store, _checked(name), local)
        local.unlink()

    def fetch(self, name: str, folder: Path) -> Path:
        """Give a local file with the content; a copy is made inside the folder where there is none."""
        target = folder / _checked(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as file:
                for chunk in obstore.get(self._store, _checked(name)):
                    file.write(chunk)
        except FileNotFoundError as error:
            raise Missing(name) from error
        return target

    def reader(self, name: str) -> Any:
        """Open the content for reading with `seek`, as a path or file object that Parquet readers take."""
        try:
            return _Seekable(obstore.open_reader(self._store, _checked(name)))
        except FileNotFoundError as error:
            raise Missing(name) from error


class _Seekable:
    """obstore's reader with bytes for its buffers and the two questions that Arrow asks of a file."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        return bytes(self._reader.read(None if size < 0 else size))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._reader.close()


def _checked(name: str) -> str:
    parts = name.split("/")
    if not name or "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not a storage name: {name!r}")
    return name


def _beside(target: Path) -> Path:
    return target.with_name(f".{uuid.uuid4().hex}.writing")


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".writing")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
