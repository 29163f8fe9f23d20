"""Files: what lstat(2) says about them, and putting what a script made in its place."""
