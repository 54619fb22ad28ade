"""Where Part 10 bytes live."""
