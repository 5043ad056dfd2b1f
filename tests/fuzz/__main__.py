"""Coverage-guided fuzzing of one decoder, with atheris: `python -m tests.fuzz NAME [libFuzzer options]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["consensus", "node", "privacy", "agents.private", "msgpack"]):
    from tests.fuzz.decoders import attempt, decoders


def main(arguments: list[str]) -> None:
    """Fuzz until the options say stop; a finding ends the process with status 77 and leaves the input behind."""
    known = decoders()
    if len(arguments) < 2 or arguments[1] not in known:
        sys.exit(f"usage: python -m tests.fuzz NAME [options]; NAME is one of {', '.join(sorted(known))}")
    decoder = known[arguments[1]]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(decoder.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup(
            [arguments[0], "-timeout=1", "-rss_limit_mb=1024", *arguments[2:], corpus],
            lambda data: attempt(decoder, data),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
