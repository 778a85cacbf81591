"""A Qlib extension for A-share research; see README.md."""
