"""Two threads fault on one page, and the monitor serves a single message."""

from refault.linux import Kernel


def two_readers(k: Kernel) -> None:
    """One message is enough: filling the page wakes all who wait for it."""
    page, uffd = k.uffd_page()

    @k.thread
    def reader() -> None:
        page.load()

    @k.thread
    def other() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        uffd.copy(page)
