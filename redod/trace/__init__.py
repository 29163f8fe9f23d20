"""What happens, for programs: events of a fixed form, for whoever subscribes."""
