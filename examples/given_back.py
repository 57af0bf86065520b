"""A page that is filled and given back at once."""

import refault
from refault.linux import Kernel


@refault.scenario(
    source="a story of our own",
    expect={"": "unserved fault", "with must_wait_ptl": "unserved fault"},
)
def given_back(k: Kernel) -> None:
    """A monitor that serves one message and then gives the page back leaves the thread asleep.

    The page is missing again before the thread has touched it. That is so in any order of things,
    so the page-table lock does not help: there is a second fault, and nobody reads its message.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def reader() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        uffd.copy(page)
        page.dontneed()
