"""Integers: a solution pool, pattern search, and branch and bound over boxes with convex
relaxations."""
