"""What runs inside a guest: its init, and a first job. Standard library and bindings only."""
