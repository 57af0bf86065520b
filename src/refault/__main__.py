"""``python -m refault``."""

from refault.cli import main

if __name__ == "__main__":
    main()
