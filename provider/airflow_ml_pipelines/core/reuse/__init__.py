"""What a key already has: its record, its lease, whether the outputs are still there, and if none, why."""
