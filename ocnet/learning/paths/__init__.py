"""Responses along paths of a Problem: the continuous adjoint, stored, checkpointed or in reverse time."""
