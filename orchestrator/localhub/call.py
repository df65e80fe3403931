"""One request as an operation sees it, and the reply that the operation gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from orchestrator.localhub.auth import Identity
from orchestrator.localhub.clock import parse_us
from orchestrator.localhub.names import BadPath, bytes_of

if TYPE_CHECKING:
    from orchestrator.localhub.hub import LocalHub

_SMALLEST, _LARGEST = 20, 100


class Problem(Exception):
    """An answer that is not the one hoped for: a status and a body."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"detail": detail} | more


@dataclass(frozen=True)
class Reply:
    """An answer: a status and a body for JSON; None is an empty body."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request whose sender is known and whose body was read."""

    hub: "LocalHub"
    base: str
    path: str
    params: list[tuple[str, str]]
    path_params: dict[str, str]
    body: Any
    identity: Identity | None

    def text(self, name: str) -> str | None:
        """Give a query parameter; an empty one counts as not given."""
        return next((value for key, value in reversed(self.params) if key == name and value != ""), None)

    def words(self, name: str) -> list[str]:
        """Give a query parameter that may be repeated or hold several words between commas."""
        given = [word.strip() for key, value in self.params if key in (name, f"{name}[]") for word in value.split(",")]
        return [word for word in given if word]

    def whole(self, name: str) -> int | None:
        """Give a query parameter that is a whole number."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise Problem(400, f"{name}: expected a whole number") from error

    def truth(self, name: str) -> bool:
        """Give a query parameter that is true or false."""
        return (self.text(name) or "").lower() in ("true", "1", "yes", "on")

    def time(self, name: str) -> int | None:
        """Give a query parameter that is a time, as microseconds."""
        text = self.text(name)
        if text is None or text == "null":
            return None
        try:
            return parse_us(text)
        except ValueError as error:
            raise Problem(400, f"{name}: expected a time in ISO 8601") from error

    @property
    def id(self) -> int:
        """Give the number in the path; no such number is no such thing."""
        try:
            return int(self.path_params["id"])
        except ValueError as error:
            raise Problem(404, "Not found.") from error

    def document(self) -> dict[str, Any]:
        """Give the body, which must be an object."""
        if not isinstance(self.body, dict):
            raise Problem(400, "expected a JSON object")
        return self.body

    def member(self, name: str, kind: type | tuple[type, ...], *, required: bool = False, default: Any = None) -> Any:
        """Give a member of the body, which must be of a kind when it is there."""
        value = self.document().get(name)
        if value is None:
            if required:
                raise Problem(400, f"{name}: this field is required", **{name: ["This field is required."]})
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Problem(400, f"{name}: a value of the wrong type", **{name: ["Not a valid value."]})
        return value

    def url(self, path: str) -> str:
        """Give the address of something of this Hub."""
        return f"{self.base}{path}"

    def page(self) -> "Page":
        """Read which page is asked for."""
        size, number = self.whole("page_size"), self.whole("page") or 1
        if number < 1:
            raise Problem(404, "Invalid page.")
        if size == 0:
            return Page(1, None)
        return Page(number, min(max(size or _SMALLEST, _SMALLEST), _LARGEST))

    def link(self, page: int) -> str:
        """Give the address of another page of this answer."""
        others = [(key, value) for key, value in self.params if key != "page"]
        return f"{self.base}{self.path}?" + urlencode([*others, ("page", str(page))], errors="surrogateescape")


@dataclass(frozen=True)
class Page:
    """A page's number from 1 and its size; no size is everything."""

    number: int
    size: int | None

    @property
    def offset(self) -> int:
        """Give how many results come before the page."""
        return 0 if self.size is None else (self.number - 1) * self.size

    def cut(self, everything: Sequence[Any]) -> list[Any]:
        """Give the part of a list that lies on the page."""
        return list(everything if self.size is None else everything[self.offset : self.offset + self.size])


def envelope(call: Call, page: Page, count: int, results: list[Any]) -> dict[str, Any]:
    """Wrap the results of a page; raise Problem for a page behind the last."""
    if page.number > 1 and page.offset >= count:
        raise Problem(404, "Invalid page.")
    more = page.size is not None and page.offset + page.size < count
    return {
        "count": count,
        "next": call.link(page.number + 1) if more else None,
        "previous": call.link(page.number - 1) if page.number > 1 else None,
        "results": results,
    }


def paged(call: Call, everything: Sequence[Any]) -> Reply:
    """Answer with a page of a short list, or with all of it where the dialect has bare lists."""
    if call.hub.dialect.bare_lists:
        return Reply(list(everything))
    page = call.page()
    return Reply(envelope(call, page, len(everything), page.cut(everything)))


def raw_path(text: str, name: str = "path") -> bytes:
    """Give the bytes of a path that a client sent; raise Problem when no file can have it."""
    try:
        return bytes_of(text)
    except BadPath as error:
        raise Problem(400, f"{name}: {error}") from error
