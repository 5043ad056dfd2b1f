"""A node's own registry, families that are read at scrape time, and their text.

Formats: the Prometheus text format 0.0.4, and OpenMetrics 1.0.0 where a scraper accepts it. Names follow Prometheus'
conventions: seconds, bytes, `_total` for what only grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

OPENMETRICS = "application/openmetrics-text"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
_EOF = b"# EOF\n"
MAX_PIECE = 100  # samples that are made into text without a pause: under a millisecond

Labelled = Mapping[tuple[str, ...], float]
"""Values by the values of their labels, in the labels' order."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter that nobody asks for


@dataclass(frozen=True, slots=True)
class Family:
    """A family that is read at scrape time: a counter if its name ends in `_total`, a gauge otherwise.

    `read` returns its values, one for every combination of label values that exists; it runs on the event loop and must
    take microseconds.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[], Labelled]

    def collect(self) -> Metric:
        """Return the family as of now."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        family = kind(self.name, self.help, labels=self.labels)
        for values, value in self.read().items():
            family.add_metric(values, value)
        return family


def single(name: str, text: str, read: Callable[[], float]) -> Family:
    """Return a family of one value without labels."""
    return Family(name, text, (), lambda: {(): read()})


class _Read(Collector):
    """Families as a collector."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = tuple(families)

    def describe(self) -> Iterable[Metric]:
        """Return none: they are not read before somebody scrapes."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families as of now."""
        for family in self._families:
            yield family.collect()


class _One(CollectorRegistry):
    """What the text encoders take for a registry: one family."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        yield self._family


@dataclass(frozen=True, slots=True)
class Exposition:
    """A scrape's answer."""

    content: bytes
    content_type: str


class Metrics:
    """One node's metrics. Never the process's global registry: tests and devnets run several nodes in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def read(self, families: Iterable[Family]) -> None:
        """Add families that are read at scrape time."""
        self.registry.register(_Read(families))

    async def expose(self, *, modern: bool) -> Exposition:
        """Return everything as text; the loop does other things between any two pieces of `MAX_PIECE` samples.

        Args:
            modern: OpenMetrics, rather than Prometheus' own format.
        """
        parts = []
        for family in self.registry.collect():
            for piece in _pieces(family):
                parts.append(_encode(piece, modern=modern))
                await asyncio.sleep(0)
        if modern:
            parts.append(_EOF)
        return Exposition(b"".join(parts), OPENMETRICS_TYPE if modern else TEXT_TYPE)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some samples of a family, and whether they are its first: only those stand under its head."""

    family: Metric
    first: bool


def _pieces(family: Metric) -> Iterator[_Piece]:
    for start in range(0, max(1, len(family.samples)), MAX_PIECE):
        part = Metric(family.name, family.documentation, family.type, family.unit)
        part.samples = family.samples[start : start + MAX_PIECE]
        yield _Piece(part, first=start == 0)


def _encode(piece: _Piece, *, modern: bool) -> bytes:
    text: bytes
    if modern:
        text = openmetrics.generate_latest(_One(piece.family)).removesuffix(_EOF)  # type: ignore[no-untyped-call]
    else:
        text = exposition.generate_latest(_One(piece.family))
    while not piece.first and text.startswith(b"# "):
        text = text.partition(b"\n")[2]
    return text
