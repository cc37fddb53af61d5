"""What a user types and reads: arguments, refusals, screens, tables, numbers."""
