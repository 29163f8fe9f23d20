"""The engine: the only place that moves the core, and the only place that acts for it."""
