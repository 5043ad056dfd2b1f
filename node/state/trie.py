"""A Merkle-Patricia trie whose nodes are kept by path and overwritten in place; many keys are changed at once.

Source: yellow paper, appendix D; EIP-1052 for nothing but the hash. A node's storage key is the trie's owner (empty for
the account trie, keccak(address) for a storage trie) and the nibbles from the root to it. A node of less than 32 bytes
stands inside its parent and is not stored. So the stored nodes are exactly those of a trie built afresh: no garbage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from eth_hash.auto import keccak

from node.chain import rlp
from node.state.account import EMPTY_ROOT
from node.state.reader import TrieReader

_NIBBLES = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_HEX = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")
_NOTHING, _HASH = 0x80, 0xA0  # how RLP begins no bytes, and 32 of them
_ABSENT = bytes((_NOTHING,))  # the reference of no child
_FULL = bytes((_HASH,)) * 16 + _ABSENT  # how the items of a branch of sixteen stored children begin


class MissingNode(Exception):
    """A stored trie lacks a node that its parent names: the database is damaged."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"trie node {key.hex()} is missing")
        self.key = key


def nibbles(key: bytes) -> bytes:
    """Return the nibbles of a key, one a byte."""
    return key.hex().encode().translate(_NIBBLES)


def _packed(digits: bytes) -> bytes:
    """Return the bytes of an even number of nibbles."""
    return bytes.fromhex(digits.translate(_HEX).decode())


def node_key(owner: bytes, path: bytes) -> bytes:
    """Return the storage key of the node at `path` (nibbles): owner ‖ number of nibbles ‖ nibbles, packed in pairs."""
    return owner + bytes((len(path),)) + _packed(path + b"\0" if len(path) & 1 else path)


class Leaf:
    """The rest of a key and its value."""

    __slots__ = ("path", "value")

    def __init__(self, path: bytes, value: bytes) -> None:
        self.path = path
        self.value = value


class Extension:
    """Nibbles that all keys below share, and the branch that follows."""

    __slots__ = ("child", "path")

    def __init__(self, path: bytes, child: Child) -> None:
        self.path = path
        self.child = child


class Branch:
    """Sixteen children, and the value of the key that ends here (none does in a trie of hashed keys)."""

    __slots__ = ("children", "value")

    def __init__(self, children: list[Child], value: bytes = b"") -> None:
        self.children = children
        self.value = value


Node = Leaf | Extension | Branch
Child = Node | bytes | None  # bytes: the reference (hash, RLP-encoded) of a stored node that has not been read


class Trie:
    """One trie, read lazily; `put` its changes, then `finish` it once.

    Args:
        owner: b"" or keccak(address).
        reader: the stored nodes.
        root: the hash of the stored root (32 bytes); EMPTY_ROOT for an empty trie.
    """

    def __init__(self, owner: bytes, reader: TrieReader, root: bytes) -> None:
        self._owner = owner
        self._reader = reader
        self._loaded: set[bytes] = set()  # paths of stored nodes that were read
        self._clean: dict[int, tuple[Node, bytes]] = {}  # id of an unchanged node -> (the node, its reference)
        self._root: Child = None if root == EMPTY_ROOT else rlp.encode(root)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key; an empty value deletes it."""
        path = nibbles(key)
        self._root = self._insert(self._root, b"", path, value) if value else self._delete(self._root, b"", path)

    def get(self, key: bytes) -> bytes:
        """Return the value of a key, empty if it is absent."""
        node, at, rest = self._resolve(self._root, b""), b"", nibbles(key)
        while node is not None:
            if isinstance(node, Leaf):
                return node.value if node.path == rest else b""
            if isinstance(node, Branch):
                if not rest:
                    return node.value
                at, child, rest = at + rest[:1], node.children[rest[0]], rest[1:]
            elif rest.startswith(node.path):
                at, child, rest = at + node.path, node.child, rest[len(node.path) :]
            else:
                return b""
            node = self._resolve(child, at)
        return b""

    def prove(self, key: bytes) -> list[bytes]:
        """Return the RLP of the nodes from the root towards a key (inlined ones stand in their parents)."""
        proof: list[bytes] = []
        node, at, rest = self._resolve(self._root, b""), b"", nibbles(key)
        while node is not None:
            encoded = self._encode(node, at, {})
            if len(encoded) >= 32 or not at:
                proof.append(encoded)
            if isinstance(node, Leaf):
                break
            if isinstance(node, Branch):
                if not rest:
                    break
                at, child, rest = at + rest[:1], node.children[rest[0]], rest[1:]
            elif rest.startswith(node.path):
                at, child, rest = at + node.path, node.child, rest[len(node.path) :]
            else:
                break
            node = self._resolve(child, at)
        return proof

    def finish(self) -> tuple[bytes, dict[bytes, bytes | None]]:
        """Return (root hash, stored nodes that change by storage key; None deletes one)."""
        written: dict[bytes, bytes] = {}
        alive: set[bytes] = set()
        if self._root is None:
            root = EMPTY_ROOT
        elif isinstance(self._root, bytes):
            return self._root[1:], {}
        else:
            encoded = self._encode(self._root, b"", written, alive)
            root = keccak(encoded)
            written[b""] = encoded
            alive.add(b"")
        nodes: dict[bytes, bytes | None] = {
            node_key(self._owner, path): None for path in self._loaded if path not in alive
        }
        for path, encoded in written.items():
            nodes[node_key(self._owner, path)] = encoded
        return root, nodes

    # -- reading

    def _resolve(self, child: Child, path: bytes) -> Node | None:
        if not isinstance(child, bytes):
            return child
        key = node_key(self._owner, path)
        raw = self._reader.node(key)
        if raw is None:
            raise MissingNode(key)
        node = _decode_branch(raw) or _decode(rlp.decode(raw))
        self._loaded.add(path)
        self._clean[id(node)] = (node, child)
        return node

    # -- changing: every function returns the node that takes the place of the one given

    def _changed(self, node: Node) -> None:
        self._clean.pop(id(node), None)

    def _insert(self, child: Child, at: bytes, rest: bytes, value: bytes) -> Node:
        node = self._resolve(child, at)
        if node is None:
            return Leaf(rest, value)
        if isinstance(node, Branch):
            if not rest:
                if node.value != value:
                    node.value = value
                    self._changed(node)
                return node
            here = rest[0]
            below = self._insert(node.children[here], at + rest[:1], rest[1:], value)
            node.children[here] = below
            if id(below) not in self._clean:
                self._changed(node)
            return node
        shared = _common(node.path, rest)
        if shared == len(node.path):
            if isinstance(node, Extension):
                below = self._insert(node.child, at + node.path, rest[shared:], value)
                node.child = below
                if id(below) not in self._clean:
                    self._changed(node)
                return node
            if shared == len(rest):
                if node.value != value:
                    node.value = value
                    self._changed(node)
                return node
        return self._split(node, rest, shared, value)

    def _split(self, node: Leaf | Extension, rest: bytes, shared: int, value: bytes) -> Node:
        branch = Branch([None] * 16)
        tail = node.path[shared:]
        if not tail:
            branch.value = node.value  # type: ignore[union-attr]  # only a leaf's path can be used up here
        elif isinstance(node, Leaf):
            branch.children[tail[0]] = Leaf(tail[1:], node.value)
        else:
            branch.children[tail[0]] = Extension(tail[1:], node.child) if len(tail) > 1 else node.child
        if shared == len(rest):
            branch.value = value
        else:
            branch.children[rest[shared]] = Leaf(rest[shared + 1 :], value)
        return Extension(rest[:shared], branch) if shared else branch

    def _delete(self, child: Child, at: bytes, rest: bytes) -> Node | None:
        node = self._resolve(child, at)
        if node is None:
            return None
        if isinstance(node, Leaf):
            return None if node.path == rest else node
        if isinstance(node, Extension):
            if not rest.startswith(node.path):
                return node
            below = self._delete(node.child, at + node.path, rest[len(node.path) :])
            if below is not None and id(below) in self._clean:
                node.child = below
                return node
            return _prepend(node.path, below)
        return self._delete_in_branch(node, at, rest)

    def _delete_in_branch(self, node: Branch, at: bytes, rest: bytes) -> Node | None:
        if not rest:
            if not node.value:
                return node
            node.value = b""
        else:
            here = rest[0]
            before = node.children[here]
            if before is None:
                return node
            below = self._delete(before, at + rest[:1], rest[1:])
            node.children[here] = below
            if below is not None and id(below) in self._clean:
                return node
        self._changed(node)
        return self._collapse(node, at)

    def _collapse(self, node: Branch, at: bytes) -> Node | None:
        left = [place for place, child in enumerate(node.children) if child is not None]
        if len(left) + bool(node.value) > 1:
            return node
        if not left:
            return Leaf(b"", node.value) if node.value else None
        step = bytes(left)
        return _prepend(step, self._resolve(node.children[left[0]], at + step))

    # -- writing

    def _reference(self, child: Child, path: bytes, written: dict[bytes, bytes], alive: set[bytes] | None) -> bytes:
        if child is None:
            return _ABSENT
        if isinstance(child, bytes):
            return child
        clean = self._clean.get(id(child))
        if clean is not None:
            if alive is not None:
                alive.add(path)
                self._encode(child, path, written, alive)  # marks the unchanged nodes below as alive
            return clean[1]
        encoded = self._encode(child, path, written, alive)
        if len(encoded) < 32:
            return encoded
        written[path] = encoded
        if alive is not None:
            alive.add(path)
        return b"\xa0" + keccak(encoded)

    def _encode(self, node: Node, path: bytes, written: dict[bytes, bytes], alive: set[bytes] | None = None) -> bytes:
        if isinstance(node, Leaf):
            return rlp.encode_list([rlp.encode(_hex_prefix(node.path, leaf=True)), rlp.encode(node.value)])
        if isinstance(node, Extension):
            below = self._reference(node.child, path + node.path, written, alive)
            return rlp.encode_list([rlp.encode(_hex_prefix(node.path, leaf=False)), below])
        parts = [
            _ABSENT
            if child is None
            else child
            if isinstance(child, bytes)
            else self._reference(child, path + bytes((place,)), written, alive)
            for place, child in enumerate(node.children)
        ]
        parts.append(rlp.encode(node.value))
        return rlp.encode_list(parts)


def _common(a: bytes, b: bytes) -> int:
    """Return how many nibbles two paths share from their beginning."""
    if b.startswith(a):
        return len(a)
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))


def _prepend(path: bytes, node: Node | None) -> Node | None:
    if isinstance(node, Leaf):
        return Leaf(path + node.path, node.value)
    if isinstance(node, Extension):
        return Extension(path + node.path, node.child)
    return None if node is None else Extension(path, node)


def _hex_prefix(path: bytes, *, leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    digits = bytes((flag + 1,)) + path if len(path) & 1 else bytes((flag, 0)) + path
    return _packed(digits)


def _decode_branch(raw: bytes) -> Branch | None:
    """Return a stored branch without a value, none of whose children stands inside it (most are such); else None."""
    if len(raw) == 532 and raw[3::33] == _FULL:
        return Branch([raw[at : at + 33] for at in range(3, 531, 33)])
    children: list[Child] = []
    at = raw[0] - 0xF6  # behind the length of one byte (0xf8) or two (0xf9)
    while 2 <= at < len(raw) - 1:
        if raw[at] == _HASH:
            children.append(raw[at : at + 33])
            at += 33
        elif raw[at] == _NOTHING:
            children.append(None)
            at += 1
        else:
            return None
    return Branch(children) if len(children) == 16 and raw[at:] == _ABSENT else None


def _decode(item: rlp.Item) -> Node:
    if isinstance(item, list) and len(item) == 17:
        return Branch([_decode_child(part) for part in item[:16]], rlp.decode_data(item[16]))
    prefix, tail = rlp.decode_list(item, 2)
    digits = nibbles(rlp.decode_data(prefix))
    path = digits[1:] if digits[0] & 1 else digits[2:]
    if digits[0] & 2:
        return Leaf(path, rlp.decode_data(tail))
    return Extension(path, _decode_child(tail))


def _decode_child(item: rlp.Item) -> Child:
    if isinstance(item, list):
        return _decode(item)
    return rlp.encode(item) if item else None


class _NoNodes:
    def node(self, key: bytes) -> bytes | None:
        return None


NO_NODES: TrieReader = _NoNodes()


def build(items: Iterable[tuple[bytes, bytes]], owner: bytes = b"") -> tuple[bytes, Mapping[bytes, bytes | None]]:
    """Return (root, nodes by storage key) of a new trie over (key, value) pairs."""
    trie = Trie(owner, NO_NODES, EMPTY_ROOT)
    for key, value in items:
        trie.put(key, value)
    return trie.finish()


def build_subtrie(
    path: bytes, items: Iterable[tuple[bytes, bytes]], owner: bytes = b""
) -> tuple[bytes, Mapping[bytes, bytes | None]]:
    """Return (hash, nodes by storage key) of the part of a trie that lies below `path`; no hash if there is none.

    Args:
        path: nibbles that all keys share; empty for a whole trie.
        items: (key, value) pairs.
        owner: of the trie.

    Raises:
        ValueError: a key does not begin with `path`, or all of it together takes less than 32 bytes.
    """
    if not path:
        root, nodes = build(items, owner)
        return (b"" if root == EMPTY_ROOT else root), nodes
    trie = Trie(owner, NO_NODES, EMPTY_ROOT)
    top: Child = None
    for key, value in items:
        digits = nibbles(key)
        if not digits.startswith(path):
            raise ValueError(f"key {key.hex()} does not begin with {path.hex()}")
        top = trie._insert(top, path, digits[len(path) :], value)
    if top is None:
        return b"", {}
    written: dict[bytes, bytes] = {}
    reference = trie._reference(top, path, written, None)
    if len(reference) != 33:
        raise ValueError(f"the nodes below {path.hex()} stand inside the one above")
    return reference[1:], {node_key(owner, at): node for at, node in written.items()}


def join_subtries(hashes: Sequence[bytes], owner: bytes = b"") -> tuple[bytes, Mapping[bytes, bytes]]:
    """Return (root, nodes by storage key) of the branches above the subtries of all paths of one length.

    Args:
        hashes: of the subtries in the order of their paths, 16^length of them, empty where there is none; a single one
            is the root itself.
        owner: of the trie.

    Raises:
        ValueError: the number of hashes is no power of 16.
    """
    depth = path_length(len(hashes))
    nodes: dict[bytes, bytes] = {}
    level = list(hashes)
    for length in reversed(range(depth)):
        parents = []
        for place, at in enumerate(range(0, len(level), 16)):
            children = [b"\xa0" + child if child else _ABSENT for child in level[at : at + 16]]
            encoded = rlp.encode_list([*children, _ABSENT])
            nodes[node_key(owner, path_at(place, length))] = encoded
            parents.append(keccak(encoded))
        level = parents
    return level[0], nodes


def subtrie_hashes(reader: TrieReader, root: bytes, depth: int, owner: bytes = b"") -> tuple[bytes, ...] | None:
    """Return the hashes that `join_subtries` takes, for paths of `depth` nibbles; None if not all above are branches.

    Raises:
        MissingNode: the stored trie is damaged.
    """
    level = [root]
    for length in range(depth):
        below: list[bytes] = []
        for place in range(len(level)):
            key = node_key(owner, path_at(place, length))
            raw = reader.node(key)
            if raw is None:
                raise MissingNode(key)
            node = _decode_branch(raw) or _decode(rlp.decode(raw))
            if not isinstance(node, Branch) or node.value:
                return None
            for child in node.children:
                if child is not None and not isinstance(child, bytes):
                    return None
                below.append(b"" if child is None else child[1:])
        if length + 1 < depth and not all(below):
            return None
        level = below
    return tuple(level)


def path_length(count: int) -> int:
    """Return how many nibbles the paths have of which there are `count`.

    Raises:
        ValueError: there are not so many paths of any length.
    """
    length = max(0, count.bit_length() - 1) // 4
    if count != 16**length:
        raise ValueError(f"{count} subtries, expected a power of 16")
    return length


def path_at(place: int, length: int) -> bytes:
    """Return the nibbles of the path at a place in the order of all paths of this length."""
    return bytes(place >> 4 * (length - 1 - at) & 15 for at in range(length))


def list_trie(values: Iterable[bytes]) -> Trie:
    """Return a trie over rlp(index) -> value, as transactions and receipts are hashed."""
    trie = Trie(b"", NO_NODES, EMPTY_ROOT)
    for index, value in enumerate(values):
        trie.put(rlp.encode(index), value)
    return trie


def list_root(values: Iterable[bytes]) -> bytes:
    """Return the root of a list of values."""
    return _list_root(tuple(values))


@lru_cache(maxsize=4)  # a block's transactions and receipts: body, header and chain block ask for the same roots
def _list_root(values: tuple[bytes, ...]) -> bytes:
    return list_trie(values).finish()[0]


class InvalidProof(ValueError):
    """A Merkle-Patricia proof does not lead from the root to a value."""


def proved_value(root: bytes, key: bytes, proof: Iterable[bytes]) -> bytes:
    """Return the value that a proof gives for a key under a root; empty if it proves absence.

    Raises:
        InvalidProof: a node is missing or does not hash to its reference.
    """
    by_hash = {keccak(raw): raw for raw in proof}

    def resolve(child: Child) -> Node | None:
        if not isinstance(child, bytes):
            return child
        raw = by_hash.get(child[1:])
        if raw is None:
            raise InvalidProof(f"the node {child[1:].hex()} is missing")
        try:
            return _decode(rlp.decode(raw))
        except (rlp.InvalidRlp, IndexError) as error:
            raise InvalidProof(f"the node {child[1:].hex()} is no trie node: {error}") from None

    node: Node | None = resolve(b"\xa0" + root)
    rest = nibbles(key)
    while node is not None:
        child: Child
        if isinstance(node, Leaf):
            return node.value if node.path == rest else b""
        if isinstance(node, Branch):
            if not rest:
                return node.value
            child, rest = node.children[rest[0]], rest[1:]
        elif rest.startswith(node.path):
            child, rest = node.child, rest[len(node.path) :]
        else:
            return b""
        node = resolve(child)
    return b""
