"""Services: targets that are running processes, supervised by the server."""
