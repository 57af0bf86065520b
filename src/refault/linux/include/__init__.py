"""Constants and structures, one module per kernel header."""
