"""refault: an executable model of Linux's page-fault machinery, and its model checker."""

__version__ = "0.1.0"
