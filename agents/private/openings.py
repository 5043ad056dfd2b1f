"""What a session knows of its hidden amounts, and the calls that it makes of it: plain numbers in, calldata out.

The contract adds up commitments and ciphertexts; here the same is done with what opens them. Every function is pure:
randomness is an argument, and the same gives the same call.
Source: docs/private-window.md, "A session".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eth_keys.datatypes import PrivateKey

from contracts.bindings import private_market
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH, Tariff
from contracts.bindings.private_market import BALANCE_BITS, ENERGY_BITS, IMPORT_WEIGHT, TOLD_BYTES, Settlement
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET
from privacy import notes, range_proof, ring
from privacy.auditors import encrypt, prove_same_amount
from privacy.claims import Row, delivery_statement
from privacy.commitment import commit
from privacy.envelopes import scope_of
from privacy.group import SCALAR_BYTES, Scalar
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress
from privacy.transcript import Transcript

AMOUNT_BYTES: Final = 8
_G = SECP256K1


class BudgetTooSmall(ValueError):
    """A session's balance does not cover what this takes from it."""

    def __init__(self, what: str, left_microeur: int) -> None:
        super().__init__(f"{what}: the balance would be {left_microeur} micro-euro")
        self.left_microeur = left_microeur


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a commitment, and what its ciphertext to the auditors was made with.

    Args:
        amount: v; while a session settles, it may be negative.
        blinding: γ.
        rho: ρ; of a balance nobody asks for it.
    """

    amount: int
    blinding: Scalar
    rho: Scalar

    def plus(self, factor: int, other: Opening) -> Opening:
        """Return what opens this one's and a multiple of the other's points together."""
        return Opening(
            self.amount + factor * other.amount,
            _G.scalar(self.blinding + factor * other.blinding),
            _G.scalar(self.rho + factor * other.rho),
        )

    @property
    def commitment(self) -> Point:
        """C = v·H + γ·G."""
        return commit(_G, self.amount, self.blinding)

    def hidden(self, joint_key: Point) -> bytes:
        """Return C ‖ R ‖ M, 99 bytes."""
        return _G.point_to_bytes(self.commitment) + encrypt(_G, joint_key, self.amount, self.rho).to_bytes(_G)

    def to_bytes(self) -> bytes:
        """Return amount ‖ blinding ‖ rho, 72 bytes.

        Raises:
            OverflowError: the amount is negative, or not below 2^64.
        """
        amount = self.amount.to_bytes(AMOUNT_BYTES, "big")
        return amount + _G.scalar_to_bytes(self.blinding) + _G.scalar_to_bytes(self.rho)


NOTHING: Final = Opening(0, Scalar(0), Scalar(0))


def budget(lock: notes.Opening) -> Opening:
    """Return a session's first balance, by what opens the lock that funded it."""
    return Opening(lock.amount, lock.blinding, Scalar(0))


def drawn(label: str, amount: int, randomness: bytes) -> Opening:
    """Return an amount with blindings that follow from the randomness (at least 32 fresh random bytes)."""
    said = Transcript("session-amount")
    said.append("label", label.encode())
    blinding, rho = (said.nonce(each, _G, _G.scalar(amount), randomness) for each in ("blinding", "rho"))
    return Opening(amount, blinding, rho)


def tell(key: bytes, trade_id: bytes, opening: Opening) -> bytes:
    """Return an opening (72 bytes) under a key that seller and buyer share, for one trade."""
    return _under(key, trade_id, opening.to_bytes())


def heard(key: bytes, trade_id: bytes, told: bytes, hidden: bytes, joint_key: Point) -> Opening | None:
    """Return the opening that a buyer was told, None if it does not open what is on record.

    Args:
        key: that seller and buyer share.
        trade_id: 32 bytes.
        told: 72 bytes.
        hidden: C ‖ R ‖ M on record.
        joint_key: the auditors' Y.
    """
    if len(told) != TOLD_BYTES:
        return None
    clear = _under(key, trade_id, told)
    amount = int.from_bytes(clear[:AMOUNT_BYTES], "big")
    blinding, rho = (int.from_bytes(clear[at : at + SCALAR_BYTES], "big") for at in (AMOUNT_BYTES, 40))
    if max(blinding, rho) >= _G.order:
        return None
    opening = Opening(amount, Scalar(blinding), Scalar(rho))
    return opening if opening.hidden(joint_key) == hidden else None


def _under(key: bytes, trade_id: bytes, text: bytes) -> bytes:
    said = Transcript("told")
    said.append("key", key)
    said.append("trade", trade_id)
    stream = said.challenge_bytes("first") + said.challenge_bytes("second")
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))


# -- trades


def consent(key: PrivateKey, chain_id: int, window: int, nullifier: bytes) -> bytes:
    """Return a session key's signature (r ‖ s ‖ v, 65 bytes) that it is that of the offer with this nullifier."""
    signature = key.sign_msg_hash(private_market.session_message(chain_id, window, nullifier)).to_bytes()
    return bytes(signature[:64]) + bytes((signature[64] + 27,))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session's proofs hold.

    Args:
        chain_id: the chain's.
        window: in which it delivers.
        session: its account, 20 bytes.
        joint_key: that of the window's auditors.
    """

    chain_id: int
    window: int
    session: bytes
    joint_key: Point


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call, and what it leaves of the session's balance."""

    data: bytes
    trade_id: bytes
    balance: Opening


def allocation(
    place: Place, buyer: bytes, tick: int, quantity: Opening, balance: Opening, penalty: int, randomness: bytes
) -> Recorded:
    """Return the seller's call that allocates energy to a buyer's session.

    Args:
        place: the seller's.
        buyer: the other session's account.
        tick: the price, in ticks.
        quantity: what both agreed on; the buyer knows it too.
        balance: the seller's before.
        penalty: the market's, in ticks.
        randomness: at least 32 fresh random bytes.

    Raises:
        BudgetTooSmall: the balance does not cover the bond.
    """
    hidden = quantity.hidden(place.joint_key)
    trade_id = private_market.trade_id_of(place.chain_id, place.window, place.session, buyer, tick, hidden)
    left, balance_range = balance, b""
    if penalty:
        left = balance.plus(-penalty, quantity)
        balance_range = _balance_range(left, trade_id, randomness, "bond")
    data = private_market.allocate(
        buyer,
        tick,
        hidden,
        _sealing(place, quantity, trade_id, randomness),
        _range(ENERGY_BITS, [quantity], trade_id, randomness),
        balance_range,
    )
    return Recorded(data, trade_id, left)


def allowance(
    place: Place, trade_id: bytes, tick: int, quantity: Opening, balance: Opening, randomness: bytes
) -> Recorded:
    """Return the buyer's call that pays a trade's price into escrow.

    Raises:
        BudgetTooSmall: the balance does not cover the price.
    """
    left = balance.plus(-tick, quantity)
    message = private_market.allow_message(place.chain_id, trade_id)
    proof = _balance_range(left, message, randomness, "price")
    return Recorded(private_market.allow(trade_id, proof), trade_id, left)


# -- settlement


@dataclass(frozen=True, slots=True)
class Member:
    """Who settles.

    Args:
        secrets: of ring key and trace key.
        index: among the rows.
        rows: of the window, as prepared.
        import_wh, export_wh: what its meter attested.
        import_blinding, export_blinding: the sums of what the meter blinded its quarters with.
    """

    secrets: tuple[Scalar, Scalar]
    index: int
    rows: tuple[Row, ...]
    import_wh: int
    export_wh: int
    import_blinding: Scalar
    export_blinding: Scalar


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale that was allowed, and the key under which the buyer is told of it."""

    trade_id: bytes
    tick: int
    quantity: Opening
    key: bytes


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase that was allowed.

    Args:
        tick: its price.
        quantity: what was agreed.
        delivered: what was; nothing if the seller is in default, None if what was told does not open it.
    """

    tick: int
    quantity: Opening
    delivered: Opening | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The call that settles a session, and what is known of it.

    Args:
        data: calldata.
        delivered: for each sale, what the seller said it delivered.
        owed_microeur: to the operator; negative if it owes.
        remainder: what opens the note.
    """

    data: bytes
    delivered: tuple[Opening, ...]
    owed_microeur: int
    remainder: Opening


def fills(available_wh: int, wanted_wh: Iterable[int]) -> list[int]:
    """Return what of each contract is filled, in the order recorded."""
    found = []
    for wanted in wanted_wh:
        found.append(min(wanted, available_wh))
        available_wh -= found[-1]
    return found


def settlement(
    place: Place,
    member: Member,
    balance: Opening,
    sales: Sequence[Sale],
    purchases: Sequence[Purchase],
    bonds: Sequence[Opening],
    tariff: Tariff,
    penalty: int,
    payee: MetaAddress[Point],
    randomness: bytes,
) -> Settled:
    """Return the call that settles a session.

    Args:
        place: the session's.
        member: who it is, and what its meter read.
        balance: before.
        sales: that were allowed and are not in default, in the order of allocation.
        purchases: in the order in which they were allowed.
        bonds: the quantities of sales that nobody allowed.
        tariff: of the window.
        penalty: the market's, in ticks.
        payee: whom the note is for.
        randomness: at least 32 fresh random bytes.

    Raises:
        BudgetTooSmall: the balance does not cover what is owed.
    """
    amounts = fills(member.export_wh, [sale.quantity.amount for sale in sales])
    delivered = [drawn(f"delivered {place_}", wh, randomness) for place_, wh in enumerate(amounts)]
    short = [sale.quantity.plus(-1, each) for sale, each in zip(sales, delivered, strict=True)]
    bought = NOTHING
    left = balance
    for each, sale in zip(delivered, sales, strict=True):
        left = left.plus(sale.tick + penalty, each)
    for bond in bonds:
        left = left.plus(penalty, bond)
    declined = 0
    for place_, purchase in enumerate(purchases):
        if purchase.delivered is None:
            declined |= 1 << place_
            continue
        bought = bought.plus(1, purchase.delivered)
        left = left.plus(purchase.tick + penalty, purchase.quantity.plus(-1, purchase.delivered))
    grid = drawn("grid", max(0, member.import_wh - bought.amount), randomness)
    resold = drawn("resold", max(0, bought.amount - member.import_wh), randomness)
    rest = drawn("rest", member.export_wh - sum(amounts), randomness)
    owed = owed_to_operator(tariff, bought, grid, resold, rest)
    owed = Opening(owed.amount, owed.blinding, drawn("owed", owed.amount, randomness).rho)
    left = left.plus(-1, owed)
    if left.amount < 0:
        raise BudgetTooSmall("settlement", left.amount)

    hidden = [each.hidden(place.joint_key) for each in delivered]
    told = [tell(sale.key, sale.trade_id, each) for sale, each in zip(sales, delivered, strict=True)]
    said_sales = b"".join(one + other for one, other in zip(hidden, told, strict=True))
    commitments = b"".join(_G.point_to_bytes(each.commitment) for each in (grid, resold, rest))
    residuals = commitments + owed.hidden(place.joint_key)[private_market.POINT_BYTES :]
    payout = _payout(place, payee, left, randomness)
    message = private_market.settlement_message(
        place.chain_id, place.window, place.session, said_sales, residuals, payout, declined
    )
    given = Settlement(
        said_sales,
        residuals,
        payout,
        declined,
        b"".join(_sealing(place, each, message, randomness) for each in (*delivered, owed)),
        _range(ENERGY_BITS, [grid, resold, rest, *delivered, *short], message, randomness),
        _balance_range(left, message, randomness, "settlement"),
        _ring(place, member, _read(delivered, rest, bought, grid, resold), message, randomness),
    )
    return Settled(private_market.settle(given), tuple(delivered), owed.amount, left)


def owed_to_operator(tariff: Tariff, bought: Opening, grid: Opening, resold: Opening, rest: Opening) -> Opening:
    """Return what a household owes the operator: retail and local charges, less feed-in."""
    local, feed_in, retail = (
        price // PRICE_TICK_MICROEUR_PER_KWH
        for price in (
            tariff.local_charges_microeur_per_kwh,
            tariff.feed_in_microeur_per_kwh,
            tariff.retail_microeur_per_kwh,
        )
    )
    owed = NOTHING.plus(local, bought).plus(retail, grid)
    return owed.plus(-(local + feed_in), resold).plus(-feed_in, rest)


def _read(delivered: Sequence[Opening], rest: Opening, bought: Opening, grid: Opening, resold: Opening) -> Opening:
    """Return what opens C': imports with their weight, and exports."""
    exported = rest
    for each in delivered:
        exported = exported.plus(1, each)
    return exported.plus(IMPORT_WEIGHT, bought.plus(1, grid).plus(-1, resold))


def _ring(place: Place, member: Member, read: Opening, message: bytes, randomness: bytes) -> bytes:
    scope = scope_of(place.chain_id, PRIVACY_REGISTRY, PRIVATE_MARKET, place.window)
    statement = delivery_statement(member.rows, read.commitment, scope, message)
    meter = member.export_blinding + IMPORT_WEIGHT * member.import_blinding
    secrets = (*member.secrets, _G.scalar(meter - read.blinding))
    return ring.sign(_G, statement, secrets, member.index, randomness).to_bytes(_G)


def _payout(place: Place, payee: MetaAddress[Point], left: Opening, randomness: bytes) -> bytes:
    """Return key ‖ ephemeral ‖ view tag ‖ opening of a note with a commitment that is given."""
    note, _ = notes.make_note(_G, payee, left.amount, place.joint_key, bytes, randomness, blinding=left.blinding)
    points = _G.point_to_bytes(note.output.key) + _G.point_to_bytes(note.output.ephemeral)
    return points + bytes((note.output.view_tag,)) + note.opening


def _sealing(place: Place, opening: Opening, message: bytes, randomness: bytes) -> bytes:
    secrets = (opening.amount, opening.rho, opening.blinding)
    return prove_same_amount(_G, place.joint_key, *secrets, message, randomness).to_bytes(_G)


def _balance_range(left: Opening, message: bytes, randomness: bytes, what: str) -> bytes:
    if left.amount < 0:
        raise BudgetTooSmall(what, left.amount)
    return _range(BALANCE_BITS, [left], message, randomness)


def _range(bits: int, openings: Sequence[Opening], message: bytes, randomness: bytes) -> bytes:
    statement = range_proof.Statement(tuple(each.commitment for each in openings), bits, message)
    secrets = [(each.amount, each.blinding) for each in openings]
    return range_proof.prove(_G, statement, secrets, randomness).to_bytes(_G)
