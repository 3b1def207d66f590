"""The tape and the engine that runs it backwards."""
