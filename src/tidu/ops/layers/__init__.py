"""What whole layers compute: normalization, embedding, attention, recurrence."""
