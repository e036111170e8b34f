"""Stating a problem: what is refused, and how the statement is printed."""
