"""The life of a memory: recognised, recorded, forgotten, restored, associated, or never found."""

from ocnet.memory.classify import classify
from ocnet.memory.outcome import Outcome
from ocnet.memory.sequence import LearningHistory, Step, consolidate, learn_sequence

__all__ = ["LearningHistory", "Outcome", "Step", "classify", "consolidate", "learn_sequence"]
