"""The ground floor: dtypes, shapes, devices, source positions, thread state and error texts."""
