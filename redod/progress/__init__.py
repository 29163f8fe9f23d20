"""The status line of a running build: from its state to one line of a given width. Pure."""
