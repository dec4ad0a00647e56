"""Key documents: all that identifies what a step makes, and what differs between two of them."""
