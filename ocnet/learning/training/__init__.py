"""Training of neural ODEs: the objective, four methods, and what training gives."""
