"""The pages in Airflow's UI: what ran and what was reused, and why; made on the server, with no build step."""
