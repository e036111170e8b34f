"""Problem builders: one paper or family per file; each returns a Problem with its reference and source."""
