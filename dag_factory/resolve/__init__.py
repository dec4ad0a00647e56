"""Turns definitions into specs, with every name resolved, and specs back into documents."""
