"""What a user states: spaces, choices, services, objectives and bounds; and the fleet that follows
from them."""
