"""What is said on a terminal or a pipe: lines, tables, meters, the account of a run."""
