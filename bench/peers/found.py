"""All peers, in the order of the table."""

from __future__ import annotations

from bench.peers.frontrun import FRONTRUN
from bench.peers.genmc import GENMC
from bench.peers.nidhugg import NIDHUGG
from bench.peers.peer import Peer
from bench.peers.rumur import RUMUR
from bench.peers.spin import SPIN
from bench.peers.tlc import TLC

PEERS: tuple[Peer, ...] = (SPIN, GENMC, NIDHUGG, RUMUR, TLC, FRONTRUN)


def found() -> dict[str, str]:
    """Name and version of the peers that are here."""
    versions = {peer.name: peer.version() for peer in PEERS}
    return {name: version for name, version in versions.items() if version}
