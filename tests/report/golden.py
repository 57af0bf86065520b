"""Golden texts: what people see, compared to the letter.

``REFAULT_REGENERATE=1 pytest tests/report`` writes them anew; read the difference first.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare ``text`` with ``golden/<name>.txt``."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("REFAULT_REGENERATE"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    assert path.read_text() == text + "\n"
