"""What others run: published pipelines, endpoints, schedules."""
