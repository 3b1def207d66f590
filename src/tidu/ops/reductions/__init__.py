"""Many elements become one: sums, extremes, norms, statistics, and sums up to each place."""
