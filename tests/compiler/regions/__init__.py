"""Random programs for both tiers."""
