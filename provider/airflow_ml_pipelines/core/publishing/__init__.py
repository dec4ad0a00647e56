"""What is published for others to run: pipelines, endpoints, drafts, schedules, and the DAGs that they make."""
