"""Measured files, and how well the model agrees with them."""
