"""Sessions: what one client asked for, how it is shown to it, and how it ends."""
