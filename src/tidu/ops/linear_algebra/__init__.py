"""Products of vectors and matrices, equations and factorizations."""
