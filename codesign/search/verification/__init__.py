"""What is proved of a design: the exact model, optimality, the audit of the program,
infeasibility."""
