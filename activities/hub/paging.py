"""Page after page of a list: where the next one is, and what lies on this one."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from activities.errors import ContractError
from activities.hub.wire import decode_json

#: Parameters that only `next` decides, and sizes that it may change; every other one keeps the exact bytes we sent.
_PLACES = frozenset({"page", "cursor", "offset", "marker"})
_SIZES = frozenset({"page_size", "limit"})
_LISTS = ("results", "children", "items", "files")


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came: `next` is the target of the following one, to be given to `Hub.pages` again."""

    target: str
    content: bytes
    next: str | None
    count: int | None

    def document(self) -> Any:
        """The page's JSON."""
        return decode_json(self.content)

    def records(self) -> list[Any]:
        """The listed things: of an envelope, of a directory's object, or of a bare list."""
        found = self.document()
        if isinstance(found, list):
            return found
        if isinstance(found, dict):
            for name in _LISTS:
                if isinstance(found.get(name), list):
                    return list(found[name])
        return []


class _Envelope(msgspec.Struct):
    next: Any = None
    count: Any = None


_envelopes = msgspec.json.Decoder(_Envelope)


def read_page(target: str, content: bytes, host: str) -> Page:
    """Find the next page of one that was just read.

    Raises ValueError when the page is not JSON, ContractError when `next` leads to another host.
    """
    try:
        envelope = _envelopes.decode(content)
    except msgspec.ValidationError:
        envelope = _Envelope()
        decode_json(content)
    except (msgspec.DecodeError, UnicodeError):
        found = decode_json(content)
        envelope = _Envelope(found.get("next"), found.get("count")) if isinstance(found, dict) else _Envelope()
    count = envelope.count
    return Page(
        target,
        content,
        following(target, envelope.next, host),
        int(count) if isinstance(count, int) or (isinstance(count, str) and count.isdecimal()) else None,
    )


def following(target: str, given: Any, host: str) -> str | None:
    """The target of the next page: the same path, our own parameters, and of `next` what only it knows.

    So no `next` can lead us elsewhere, and a Hub or proxy that writes names, scheme or port differently does no harm.
    """
    if given is None or given == "":
        return None
    path, _, query = target.partition("?")
    if isinstance(given, int) and not isinstance(given, bool):
        given = f"?page={given}"
    if not isinstance(given, str):
        raise ContractError(f"GET {path}: field 'next' is no address", operation=f"GET {path}")
    parts = _split(given, path)
    if parts.netloc and (parts.hostname or "") != host:
        raise ContractError(
            f"GET {path}: field 'next' leads to another host ({parts.hostname!a}): set the Hub's URL to the host "
            "that it names itself by",
            operation=f"GET {path}",
        )
    given_pairs = [pair for pair in parts.query.split("&") if pair]
    # A size that `next` leaves out still holds: with the Hub's default one, entries would be skipped.
    replaced = _PLACES | (_SIZES & {_name(pair) for pair in given_pairs})
    ours = [pair for pair in query.split("&") if pair and _name(pair) not in replaced]
    names = {_name(pair) for pair in ours}
    theirs = [_clean(pair) for pair in given_pairs if _name(pair) not in names]
    return f"{path}?{'&'.join(ours + theirs)}"


def _split(given: str, path: str) -> Any:
    try:
        parts = urlsplit(given)
        _ = parts.hostname
    except ValueError:
        raise ContractError(f"GET {path}: field 'next' is no address", operation=f"GET {path}") from None
    return parts


def _name(pair: str) -> str:
    return parse_qsl(pair, keep_blank_values=True)[0][0] if "%" in pair else pair.partition("=")[0]


def _clean(pair: str) -> str:
    return quote(pair, safe="%=/?:@!$'()*+,;[]-._~", errors="surrogatepass")
