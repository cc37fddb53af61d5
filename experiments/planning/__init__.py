"""``codesign plan``: from arguments to a demand and machines, and from plans to what is read."""
