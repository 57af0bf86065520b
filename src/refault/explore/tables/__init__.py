"""Behaviour tables, and what is learned from them; ``behaviour`` begins with how they work."""
