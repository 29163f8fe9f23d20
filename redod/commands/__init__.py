"""The commands: what each command line means."""
