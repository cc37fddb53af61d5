"""The front: where weightings start, where it has gaps, which designs no other dominates."""
