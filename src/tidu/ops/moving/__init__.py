"""Elements in another order, shape or place, and nothing computed."""
