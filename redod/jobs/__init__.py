"""Job processes: starting scripts, knowing when they are over, and ending them with all that they started."""
