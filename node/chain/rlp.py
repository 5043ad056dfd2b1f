"""Recursive Length Prefix, strict: one encoding for every value, and nothing else decodes.

Source: Ethereum yellow paper, appendix B.
"""

from __future__ import annotations

Item = bytes | list["Item"]
MAX_DEPTH = 8  # the deepest thing we decode, an access list in a transaction in a body, nests five deep


class InvalidRlp(ValueError):
    """Bytes that are no canonical RLP, or not of the expected shape."""


def encode_int(number: int) -> bytes:
    """Return the big-endian bytes of a non-negative integer without leading zeros (zero is empty)."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode_int(item: Item, bits: int = 256) -> int:
    """Return the integer in `item`.

    Raises:
        InvalidRlp: a list, a leading zero, or more than `bits` bits.
    """
    if not isinstance(item, bytes):
        raise InvalidRlp("expected an integer, found a list")
    if item[:1] == b"\0" or len(item) * 8 > bits:
        raise InvalidRlp(f"expected an integer of at most {bits} bits without leading zeros, found {len(item)} bytes")
    return int.from_bytes(item, "big")


def decode_data(item: Item, *lengths: int) -> bytes:
    """Return the bytes in `item`, whose length must be one of `lengths` (any, if none are given)."""
    if not isinstance(item, bytes):
        raise InvalidRlp("expected bytes, found a list")
    if lengths and len(item) not in lengths:
        raise InvalidRlp(f"expected {' or '.join(map(str, lengths))} bytes, found {len(item)}")
    return item


def decode_list(item: Item, *lengths: int) -> list[Item]:
    """Return the items of a list, whose number must be one of `lengths` (any, if none are given)."""
    if not isinstance(item, list):
        raise InvalidRlp("expected a list, found bytes")
    if lengths and len(item) not in lengths:
        raise InvalidRlp(f"expected a list of {' or '.join(map(str, lengths))} items, found {len(item)}")
    return item


def encode(item: object) -> bytes:
    """Return the RLP of bytes, non-negative integers, and lists or tuples of them."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    if isinstance(item, int):
        return encode(encode_int(item))
    if isinstance(item, (list, tuple)):
        return encode_list([encode(part) for part in item])
    raise TypeError(f"cannot encode {type(item).__name__} as RLP")


def encode_list(encoded: list[bytes]) -> bytes:
    """Return the RLP of a list whose items are encoded already."""
    payload = b"".join(encoded)
    return _prefix(len(payload), 0xC0) + payload


def _prefix(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes((offset + length,))
    size = encode_int(length)
    return bytes((offset + 55 + len(size),)) + size


def decode(data: bytes, max_items: int | None = None) -> Item:
    """Return the one item that `data` encodes.

    Args:
        data: the encoding.
        max_items: of any one list; no bound if None.

    Raises:
        InvalidRlp: not canonical, too deep, a list too long, or followed by more bytes.
    """
    item, end = _decode(data, 0, len(data), MAX_DEPTH, max_items)
    if end != len(data):
        raise InvalidRlp(f"{len(data) - end} bytes after the item")
    return item


def split(data: bytes) -> list[bytes]:
    """Return the encodings of the items of the one list that `data` encodes, without decoding them.

    Raises:
        InvalidRlp: not a list, or its items do not fill it exactly.
    """
    is_list, start, end = _extent(data, 0, len(data))
    if not is_list or end != len(data):
        raise InvalidRlp("expected exactly one list")
    parts = []
    while start < end:
        _, _, stop = _extent(data, start, end)
        parts.append(data[start:stop])
        start = stop
    return parts


def _extent(data: bytes, at: int, limit: int) -> tuple[bool, int, int]:
    """Return (is a list, start of the payload, end of the payload) of the item at `at`."""
    if at >= limit:
        raise InvalidRlp("the item ends early")
    first = data[at]
    if first < 0x80:
        return False, at, at + 1
    is_list = first >= 0xC0
    code = first - (0xC0 if is_list else 0x80)
    if code < 56:
        start, length = at + 1, code
    else:
        size = code - 55
        start = at + 1 + size
        field = data[at + 1 : min(start, limit)]
        if len(field) != size or field[0] == 0:
            raise InvalidRlp("a length that is cut or has leading zeros")
        length = int.from_bytes(field, "big")
        if length < 56:
            raise InvalidRlp("a long form for a short length")
    end = start + length
    if end > limit:
        raise InvalidRlp("the item ends early")
    if not is_list and length == 1 and data[start] < 0x80:
        raise InvalidRlp("a single byte with a needless prefix")
    return is_list, start, end


def _decode(data: bytes, at: int, limit: int, depth: int, max_items: int | None) -> tuple[Item, int]:
    is_list, start, end = _extent(data, at, limit)
    if not is_list:
        return data[start:end], end
    if depth == 0:
        raise InvalidRlp(f"nested deeper than {MAX_DEPTH}")
    items: list[Item] = []
    while start < end:
        if max_items is not None and len(items) >= max_items:
            raise InvalidRlp(f"a list of more than {max_items} items")
        item, start = _decode(data, start, end, depth - 1, max_items)
        items.append(item)
    return items, end
