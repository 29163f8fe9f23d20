"""The settings of a workspace: `redod.toml` in its root."""
