"""The configuration of an auditor (`auditor.toml`), read strictly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.configuration import Section, load_toml

AUDITOR_CONFIG = "auditor.toml"
LEAST_METERS = 4  # in a sum of fewer, who knows the others' readings too easily knows the last one's


@dataclass(frozen=True, slots=True)
class AuditorConfig:
    """An auditor of a private street. Paths are absolute.

    Args:
        directory: where its journal is.
        rpc: the node that it follows.
        confirm: nodes of other members, which must tell the same sums before it gives a part of them.
        key: of its account.
        share: its share of the joint secret, kept as a key is.
        passphrase_file: opens both; None for the environment.
        least_meters: of a sum over fewer it gives no part.
    """

    directory: Path
    rpc: str
    confirm: tuple[str, ...]
    key: Path
    share: Path
    passphrase_file: Path | None
    least_meters: int


def load_auditor(path: Path) -> AuditorConfig:
    """Read and check an auditor.toml.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    base = path.parent.resolve()
    top = Section(path, "", load_toml(path))
    auditor = top.required("auditor")
    passphrase = auditor.text("passphrase_file", "")
    config = AuditorConfig(
        directory=base,
        rpc=auditor.text("rpc"),
        confirm=auditor.texts("confirm", []),
        key=base / auditor.text("key"),
        share=base / auditor.text("share"),
        passphrase_file=base / passphrase if passphrase else None,
        least_meters=auditor.integer("least_meters", 2, 128, LEAST_METERS),
    )
    auditor.close()
    top.close()
    return config


def render_auditor(*, rpc: str, confirm: Sequence[str] = ()) -> str:
    """Return the text of a new auditor.toml."""
    quoted = ", ".join(f'"{url}"' for url in confirm)
    return (
        "# An auditor of a private street. Paths are relative to this file.\n"
        "[auditor]\n"
        f'rpc = "{rpc}"\n'
        f"confirm = [{quoted}] # nodes of other members, which must tell the same sums\n"
        'key = "auditor-key.json"\n'
        'share = "share.json"\n'
        'passphrase_file = "passphrase"\n'
        f"least_meters = {LEAST_METERS} # a sum of fewer meters is not opened\n"
    )
