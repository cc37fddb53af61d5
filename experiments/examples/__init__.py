"""Examples of codesign inside other research code."""
