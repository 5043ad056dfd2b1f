"""The stages and their moves as a Mermaid state diagram: `python -m consensus.diagram`."""

from __future__ import annotations

from consensus.state import MOVES


def diagram() -> str:
    """Return the diagram of `MOVES`, one line a move, in the order of the table."""
    lines = ["stateDiagram-v2", "    [*] --> WAITING: height h, view 0"]
    lines += [f"    {start.name} --> {end.name}: {cause}" for (start, end), cause in MOVES.items()]
    lines.append("    DECIDED --> [*]: stored; height h + 1 begins")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
