"""A thread that is killed while it waits for a page."""

from refault.linux import Kernel
from refault.linux.include.uapi.signal import SIGTERM


def killed(k: Kernel) -> None:
    """A thread that waits for a page that nobody serves can be killed."""
    page, _uffd = k.uffd_page()

    @k.thread(process=page)
    def reader() -> None:
        page.load()
        raise AssertionError("nobody has filled the page")

    @k.thread
    def shell() -> None:
        k.kill(page, SIGTERM)
