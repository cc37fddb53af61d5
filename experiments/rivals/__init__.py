"""Devices on sale beside the designs, with the same freedom and the same accounting."""
