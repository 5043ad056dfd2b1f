"""What holds for all tests: how long an example takes says nothing; nothing they write must survive a power cut."""

import os
import shutil
from pathlib import Path

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Half of the time of what writes databases is fsync: they are kept in memory where that is large enough. TMPDIR stays.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 6 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
