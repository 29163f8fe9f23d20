"""The server's side of docs/protocol.md: bytes to values and back, without any input or output of its own."""
