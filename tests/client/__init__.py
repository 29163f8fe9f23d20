"""Both clients, black box, against a server of the tests' own that speaks the protocol byte by byte."""
