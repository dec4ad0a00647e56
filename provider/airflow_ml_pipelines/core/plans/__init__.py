"""All steps of a run at once: decided beforehand, explained afterwards, and accepted on somebody's word."""
