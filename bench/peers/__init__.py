"""The other checkers: each is found on the PATH, or it is not and the table says so."""
