"""The machine code that a puppet's threads run, assembled from ``_puppet.s`` beside this file.

It is kept assembled: a machine that runs live mode need not have an assembler. A test assembles it
again where there is one.
"""

from __future__ import annotations

LISTING = "_puppet.s"

CODE = bytes.fromhex(
    "535541544155415641574989fc418b1c24413b5c24047513b8ca0000004c89e731f689da4531d20f05ebe241"
    "837c2408000f84b5000000498b4c24604885c97407f39083390074f9498b4c24684885c9740548ffc975fb0f"
    "3148c1e2204809d04989442450418b442408498b7c241083f801742c83f802742c498b442410498b7c241849"
    "8b742420498b5424284d8b5424304d8b4424384d8b4c24400f05eb190fb607eb14418a44241888070fb6c0eb"
    "08418b44247448f7d849894424480f3148c1e2204809d0498944245841895c2404b8ca000000498d7c2404be"
    "01000000baffffff7f0f05e921ffffff41895c2404415f415e415d415c5d5bc30f1f4000488b4248488b8aa8"
    "000000897874488948788b4e08898880000000488b4e1048898888000000f0ff407083ff0b740683ff077401"
    "c3488d0d75ffffff48898aa8000000c366662e0f1f84000000000090b80f0000000f05"
)

HANDLER = 0x100
"""Offset of the signal handler: it notes what it saw, and skips a load or store that failed."""

RESTORER = 0x150
"""Offset of the code that returns from the handler."""
