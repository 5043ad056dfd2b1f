from __future__ import annotations

from pathlib import Path

from agents.journal import (
    KINDS,
    Contract,
    Journal,
    NoDeal,
    Problem,
    Quarter,
    Signed,
    Started,
    as_table,
    decode,
    encode,
    lines_of,
    read_journal,
)
from agents.market.mechanism import Terms
from agents.replay import remember

TRADE, PEER = "0x" + "11" * 32, "0x" + "22" * 20


def quarter(number: int, soc_wh: int = 0) -> Quarter:
    return Quarter(
        quarter=number,
        window=number // 4,
        load_wh=10,
        pv_wh=0,
        charged_wh=0,
        discharged_wh=0,
        import_wh=10,
        export_wh=0,
        soc_wh=soc_wh,
    )


def signed(trade: str = TRADE, energy_wh: int = 300) -> Signed:
    return Signed(window=8, demand=1, peer=PEER, trade=trade, energy_wh=energy_wh, price_microeur_per_kwh=191_000)


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    lines = [quarter(0), Problem(what="a", reason="b"), signed()]
    for line in lines:
        journal.write(line, durable=True)
    journal.close()
    assert list(read_journal(journal.path)) == lines
    assert lines_of(journal.path, Quarter) == [quarter(0)]
    assert as_table(lines[1]) == {"kind": "problem", "at_s": 0, "what": "a", "reason": "b"}


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(quarter(0)) + encode(quarter(1))[:-9])
    assert list(read_journal(path)) == [quarter(0)]
    journal = Journal(path)
    journal.write(quarter(2))
    journal.close()
    assert list(read_journal(path)) == [quarter(0), quarter(2)]


def test_no_journal_is_an_empty_one_and_strange_lines_are_skipped(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "none")) == []
    for text in ("", "[]", "3", '{"kind": "unheard-of"}', '{"kind": "quarter"}', "{"):
        assert decode(text) is None
    assert all(kind == cls.kind for kind, cls in KINDS.items())


def test_a_restart_remembers_position_signatures_and_agreements() -> None:
    withdrawn = "0x" + "33" * 32
    memory = remember(
        [
            Started(
                name="L7",
                household=PEER,
                meter=PEER,
                forecast="day-before",
                strategy="concession",
                soc_wh=1_370,
                next_quarter=0,
                restart=False,
            ),
            quarter(0, 1_400),
            quarter(1, 1_500),
            signed(),
            signed(withdrawn, 50),
            NoDeal(window=8, role="buyer", peer=PEER, conversation="0x", reason="sold out", trade=withdrawn),
            Contract(
                window=8,
                role="seller",
                peer=PEER,
                trade=TRADE,
                purpose="surplus",
                energy_wh=300,
                price_microeur_per_kwh=191_000,
                offer=4,
                conversation="0x" + "44" * 32,
                signature="0x" + "55" * 65,
            ),
        ]
    )
    assert memory.started
    assert (memory.next_quarter, memory.soc_wh) == (2, 1_500)
    assert memory.signed == {8: {bytes.fromhex(TRADE[2:]): Terms(300, 191_000)}}
    assert memory.bought_wh == {8: {1: 300}}
    (agreement,) = memory.agreements[8]
    assert (agreement.offer_id, agreement.terms) == (4, Terms(300, 191_000))
