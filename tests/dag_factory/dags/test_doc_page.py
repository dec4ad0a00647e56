from __future__ import annotations

import xml.etree.ElementTree as ET

from markdown_it import MarkdownIt

from dag_factory.dags.doc_page import doc_page
from dag_factory.definitions.definition import PipelineDefinition

TEXT = """\
name: p
description: "What it is for: *all*.\\n\\nAnd more."
parameters:
  depth: {default: 8, minimum: 1, maximum: 64, description: "The | depth"}
  rate: {default: 1.0, maximum: 2.5}
  kind: {default: gini, enum: [gini, entropy]}
  fast: false
  api_token: abc
  where: {type: string}
  rows: {type: data, default: {path: rows, datastore: store}}
data: {raw: {path: raw, datastore: store}}
environments:
  ml: {python: "3.12", pip: [pandas]}
steps:
  prepare: {script: a.py, source_directory: src, inputs: {raw: raw}, outputs: {out: }, environment: ml}
  fit:
    script: b.py
    name: Fit it
    inputs: {out: "${{ steps.prepare.outputs.out }}"}
    outputs: {model: {register: models}}
    compute_target: gpu
    allow_reuse: false
    environment: {python: "3.11", pip: [a, b]}
"""


def page(text: str = TEXT) -> str:
    definition = PipelineDefinition.from_yaml(text)
    return doc_page(definition.to_spec(check_files=False), definition.doc)


def test_the_page_says_what_a_pipeline_is():
    assert (
        page()
        == """\
What it is for: \\*all\\*.

And more.

## Graph

```mermaid
flowchart TD
  d1[("store:raw")]
  s1["prepare"]
  s2["Fit it"]
  d1 -->|"raw"| s1
  s1 -->|"out"| s2
```

## Parameters

| parameter | type | default | allowed | description |
| --- | --- | --- | --- | --- |
| `depth` | integer | `8` | ≥ 1, ≤ 64 | The \\| depth |
| `rate` | number | `1` | ≤ 2.5 |  |
| `kind` | string | `gini` | `gini`, `entropy` |  |
| `fast` | boolean | `false` |  |  |
| `api_token` | string | `***` |  |  |
| `where` | string | must be given |  |  |
| `rows` | data | `data store:rows` |  |  |

## Steps

| step | script | inputs | outputs | compute target | environment |
| --- | --- | --- | --- | --- | --- |
| prepare | `src/a.py` | `raw`: data `store:raw` | `out` | the workspace's default | `ml` |
| Fit it (always runs) | `b.py` | `out` of prepare | `model` → dataset `models` | `gpu` | Python 3.11, 2 packages |
"""
    )


def test_the_page_follows_from_the_definition_alone(tmp_path):
    file = tmp_path / "p.pipeline.yaml"
    file.write_text(TEXT)
    definition = PipelineDefinition.from_yaml(file)
    assert doc_page(definition.to_spec(check_files=False)) == page()
    assert str(tmp_path) not in page()


def test_what_the_author_wrote_for_the_page_comes_first_and_swallows_nothing():
    found = page(f"{TEXT}doc: |\n  # Words\n\n  ```python\n  x = 1\n")
    assert found.startswith("# Words\n\n```python\nx = 1\n```\n\n## Graph\n")
    assert "What it is for" not in found


def test_text_of_a_definition_is_no_markup_on_the_page():
    evil = "</td><script>x</script> | ` [a](javascript:x) \\n\\n# head"
    text = f"""\
name: p
description: "{evil}"
parameters: {{a: {{default: "{evil}", description: "{evil}"}}}}
data: {{raw: {{path: "x] | ` <b> y", datastore: store}}}}
steps:
  s: {{script: "a | b.py", name: "{evil}", inputs: {{raw: raw}}, outputs: {{o: {{register: "{evil}"}}}}}}
"""
    definition = PipelineDefinition.from_yaml(text)
    rendered = (
        MarkdownIt("commonmark").enable("table").render(doc_page(definition.to_spec(check_files=False)))
    )
    root = ET.fromstring(f"<page>{rendered}</page>")
    tags = {element.tag for element in root.iter()}
    assert tags == {"page", "p", "h2", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert [element.text for element in root.findall("h2")] == ["Graph", "Parameters", "Steps"]
    rows = [len(row.findall("td")) for row in root.iter("tr") if row.find("td") is not None]
    assert rows == [5, 6]
