"""MeterRegistry: who attests what and when, and the status report of DUAL-2020 eq. (1)."""

from __future__ import annotations

import pytest

from contracts import system
from contracts.bindings import meter_registry
from contracts.bindings.meter_registry import Intention
from tests.contracts.street import HOUR_S, HOUSES, QUARTER_S, ZERO_S, Street, account, genesis, hexed, refused


def attest(street: Street, meter: str, quarter: int, imported: int = 0, exported: int = 0) -> None:
    street.send(meter, system.METER_REGISTRY, meter_registry.attest(quarter, imported, exported))


def test_a_meter_attests_its_quarters(street: Street) -> None:
    street.at(1)
    sent = street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest(0, 100, 7))
    event = sent.only(meter_registry.Attested)
    assert event == meter_registry.Attested(account("ann-meter"), account("ann"), 0, 0, 100, 7)
    for quarter in (1, 2):
        attest(street, "ann-meter", quarter, 10, 20)
    reading = street.view(meter_registry.window_reading(account("ann"), 0))
    assert reading == meter_registry.WindowReading(120, 47, 3, False)
    attest(street, "ann-meter", 3)
    assert street.view(meter_registry.window_reading(account("ann"), 0)).complete
    assert street.view(meter_registry.next_quarter(account("ann-meter"))) == 4
    attested = street.view(meter_registry.quarter_reading(account("ann"), 1))
    assert attested == meter_registry.QuarterReading(10, 20, ZERO_S + HOUR_S)
    assert street.view(meter_registry.quarter_reading(account("ann"), 4)) is None
    assert street.view(meter_registry.quarters_per_window()) == 4


def test_a_forged_attestation_is_refused(street: Street) -> None:
    street.at(1)
    for forger in ("ann", "ann-member", "eve", "operator"):
        with refused("NotAMeter", sender=hexed(account(forger))):
            attest(street, forger, 0, 5)
    attest(street, "bob-meter", 0, 5)
    assert street.view(meter_registry.window_reading(account("ann"), 0)).quarters == 0
    with refused("CalledThroughContract"):
        data = meter_registry.attest(0, 1, 1)
        street.send("ann-meter", system.METER_REGISTRY, data, origin=account("eve"))
    with refused("CalledThroughContract"):
        data = meter_registry.attest_batch(0, [1], [1])
        street.send("ann-meter", system.METER_REGISTRY, data, origin=account("eve"))


def test_a_repeated_or_earlier_quarter_is_refused(street: Street) -> None:
    street.at(1)
    attest(street, "ann-meter", 2, 5)
    for quarter in (2, 1):
        with refused("QuarterNotNew", meter=hexed(account("ann-meter")), quarter=quarter, next_quarter=3):
            attest(street, "ann-meter", quarter, 5)
    with refused("QuarterNotNew"):
        street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest_batch(2, [1, 1], [0, 0]))
    assert street.view(meter_registry.window_reading(account("ann"), 0)).import_wh == 5


def test_a_quarter_is_attested_when_it_is_over(street: Street) -> None:
    street.at(0, QUARTER_S - 1)
    with refused("QuarterNotOver", quarter=0, ends_at_s=ZERO_S + QUARTER_S, now_s=ZERO_S + QUARTER_S - 1):
        attest(street, "ann-meter", 0)
    street.at(0, QUARTER_S)
    attest(street, "ann-meter", 0)


def test_a_reading_that_the_connection_cannot_carry_is_refused(street: Street) -> None:
    street.at(1)
    for imported, exported in ((5001, 0), (0, 5001)):
        with refused("ImplausibleReading", reading_wh=5001, limit_wh=5000):
            attest(street, "ann-meter", 0, imported, exported)
    attest(street, "ann-meter", 0, 5000, 5000)


def test_a_batch_catches_up(street: Street) -> None:
    street.at(24)
    batch = meter_registry.attest_batch(0, list(range(96)), [1] * 96)
    assert len(street.send("ann-meter", system.METER_REGISTRY, batch).events) == 96
    reading = street.view(meter_registry.window_reading(account("ann"), 23))
    assert reading == meter_registry.WindowReading(92 + 93 + 94 + 95, 4, 4, True)
    for imports, exports in (([], []), ([1], []), ([1] * 97, [1] * 97)):
        with refused("InvalidBatch", imports=len(imports), exports=len(exports), limit=96):
            street.send("bob-meter", system.METER_REGISTRY, meter_registry.attest_batch(0, imports, exports))
    with refused("NotAMeter"):
        street.send("eve", system.METER_REGISTRY, meter_registry.attest_batch(0, [1], [1]))


@pytest.mark.parametrize(
    ("generation_w", "consumption_w", "stored_wh", "available_wh", "intention"),
    [
        (3000, 1000, 500, 2500, Intention.SELL),
        (0, 1000, 400, -600, Intention.BUY),
        (0, 0, 0, 0, Intention.NONE),
        (500, 1500, 1000, 0, Intention.NONE),
        (15_000, 0, 5_000, 20_000, Intention.SELL),
        (15_000, 0, 5_001, 20_001, Intention.ALERT),
        (0, 20_001, 0, -20_001, Intention.ALERT),
    ],
)
def test_the_status_report_is_equation_1(
    street: Street, generation_w: int, consumption_w: int, stored_wh: int, available_wh: int, intention: Intention
) -> None:
    data = meter_registry.report_status(generation_w, consumption_w, stored_wh)
    event = street.send("ann-meter", system.METER_REGISTRY, data).only(meter_registry.StatusReported)
    assert (event.available_wh, event.intention) == (available_wh, intention)
    expected = meter_registry.Status(ZERO_S, generation_w, consumption_w, stored_wh, available_wh, intention)
    assert street.view(meter_registry.status(account("ann"))) == expected
    with refused("NotAMeter"):
        street.send("ann", system.METER_REGISTRY, data)
    with refused("CalledThroughContract"):
        street.send("ann-meter", system.METER_REGISTRY, data, origin=account("eve"))


def test_meters_are_certified_at_genesis(street: Street) -> None:
    assert street.view(meter_registry.meter_of(account("bob"))) == account("bob-meter")
    assert street.view(meter_registry.meter_of(account("eve"))) is None
    meter = street.view(meter_registry.get_meter(account("bob-meter")))
    assert meter == meter_registry.Meter(account("bob-meter"), 20_000, account("bob"), "LV4.101-bob")
    assert street.view(meter_registry.get_meter(account("bob"))) is None
    assert [m.connection[-3:] for m in street.view(meter_registry.get_meters(0, 9))] == list(HOUSES)
    assert len(street.view(meter_registry.get_meters(3, 9))) == 1
    schedule = street.view(meter_registry.schedule())
    assert schedule == meter_registry.Schedule(ZERO_S, 3600, 900, 2700, 600, 4)
    assert street.at(3, 17).view(meter_registry.current_window()) == meter_registry.WindowTime(3, 17)
    with refused("BeforeFirstWindow", now_s=ZERO_S - 1):
        street.at(-1, HOUR_S - 1).view(meter_registry.current_window())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"meter": hexed(bytes(20))}, "a zero address"),
        ({"household": hexed(bytes(20))}, "a zero address"),
        ({"meter": hexed(account("bob"))}, "the meter's key is the household's"),
        ({"max_power_w": 0}, "a connection without power"),
        ({"meter": hexed(account("ann-meter"))}, "a meter twice"),
        ({"household": hexed(account("ann"))}, "a household twice"),
    ],
)
def test_wrong_meters_are_refused(change: dict[str, object], reason: str) -> None:
    content = genesis()
    content["meters"][1] |= change
    with refused("InvalidMeter", reason=reason, index=1):
        Street(content)


@pytest.mark.parametrize(
    "change",
    [
        {"window_length_s": 0},
        {"quarter_length_s": 0},
        {"quarter_length_s": 1000},
        {"quarter_length_s": 10},
        {"negotiation_close_s": 0},
        {"recording_margin_s": 0},
        {"negotiation_close_s": 3001},
        {"settlement_deadline_windows": 0},
    ],
)
def test_a_schedule_that_does_not_add_up_is_refused(change: dict[str, int]) -> None:
    content = genesis()
    content["schedule"] |= change
    with refused("InvalidSchedule"):
        Street(content)


def test_too_many_meters_are_refused() -> None:
    content = genesis()
    content["meters"] *= 33
    with refused("InvalidMeter", reason="too many meters", index=132):
        Street(content)
