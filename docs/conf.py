"""Sphinx makes the HTML of the documentation of these pages: make docs."""

project = "airflow-provider-ml-pipelines"
author = "the authors of airflow-provider-ml-pipelines"
html_title = "ML pipelines on Airflow"

extensions = ["myst_parser", "sphinx_copybutton"]
html_theme = "furo"
exclude_patterns: list[str] = []

myst_heading_anchors = 4
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

# fragments and bindings need not be whole documents of their language
suppress_warnings = ["misc.highlighting_failure"]

# files of the repository that pages lead to are copied beside them, as downloads
html_copy_source = False
