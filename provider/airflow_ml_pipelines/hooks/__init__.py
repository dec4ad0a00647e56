"""What logs in by hooks of other providers."""
