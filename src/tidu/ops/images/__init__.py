"""Images in other sizes and shapes."""
