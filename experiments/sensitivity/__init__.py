"""What matters and why: points that a user names, their elasticities, explanations and prices."""
