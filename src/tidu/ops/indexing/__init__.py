"""Elements chosen by index, by mask or by size."""
