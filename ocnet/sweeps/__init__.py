"""What a sweep is made of: its cases, the solve of one case, the journal, the workers, the table."""
