"""The GNU make jobserver, both ways: pools offered to makes in scripts, and that of a make around a session."""
