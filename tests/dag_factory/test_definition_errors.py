"""Definitions that are wrong, each with every message and position that it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.definition import PipelineDefinition
from dag_factory.problems import Problem

BROKEN = {
    "unknown_field_of_a_step": (
        """\
steps:
  train:
    script: a.py
    scrpt: b.py
""",
        [
            "4:5: steps.train.scrpt: unknown field. Did you mean 'script'?",
        ],
    ),
    "unknown_field_at_the_top": (
        """\
step:
  train: {script: a.py}
""",
        [
            "1:1: steps: expected at least one step",
            "1:1: step: unknown field. Did you mean 'steps'?",
        ],
    ),
    "script_is_missing": (
        """\
steps:
  train:
    name: Train
""",
        [
            "2:3: steps.train: the field 'script' is missing",
        ],
    ),
    "script_does_not_exist": (
        """\
steps:
  train: {script: b.py}
""",
        [
            "2:19: steps.train.script: there is no file 'b.py' in the source directory '.'. Did you mean 'a.py'? There are: a.py.",
        ],
    ),
    "script_outside_of_the_source_directory": (
        """\
steps:
  train: {script: ../a.py}
""",
        [
            "2:19: steps.train.script: expected a path inside of the source directory, with `/`, found '../a.py'",
        ],
    ),
    "source_directory_does_not_exist": (
        """\
steps:
  train: {script: a.py, source_directory: nowhere}
""",
        [
            "2:43: steps.train.source_directory: there is no folder 'nowhere'",
        ],
    ),
    "no_steps": (
        """\
name: x
""",
        [
            "1:1: steps: expected at least one step",
        ],
    ),
    "name_with_a_blank": (
        """\
name: my pipeline
steps: {a: {script: a.py}}
""",
        [
            "1:7: name: 'my pipeline' is no name for a pipeline: use up to 200 letters, digits, `_`, `-` and `.`",
        ],
    ),
    "schema_of_a_newer_version": (
        """\
schema_version: 2
steps: {a: {script: a.py}}
""",
        [
            "1:17: schema_version: expected schema version 1, found 2: a newer version of airflow-provider-ml-pipelines reads it",
        ],
    ),
    "step_called_as_the_planning_task": (
        """\
steps:
  plan: {script: a.py}
""",
        [
            "2:3: steps.plan: 'plan' is the task that plans every run: call the step otherwise",
        ],
    ),
    "step_id_with_a_dot": (
        """\
steps:
  a.b: {script: a.py}
""",
        [
            "2:3: steps.a.b: 'a.b' can't be a name here: use letters, digits, `_` and `-`",
        ],
    ),
    "step_id_twice": (
        """\
steps:
  a: {script: a.py}
  a: {script: a.py}
""",
        [
            "3:3: 'a' is there twice: first in line 2",
        ],
    ),
    "steps_as_a_list": (
        """\
steps:
  - script: a.py
""",
        [
            "1:1: steps: expected a mapping of names to values, found a list",
        ],
    ),
    "step_that_is_text": (
        """\
steps:
  a: a.py
""",
        [
            "2:6: steps.a: expected a mapping of fields to values, found the text 'a.py'",
        ],
    ),
    "after_an_unknown_step": (
        """\
steps:
  prepare: {script: a.py}
  train: {script: a.py, after: [prepar]}
""",
        [
            "3:33: steps.train.after[0]: there is no step 'prepar'. Did you mean 'prepare'? There are: prepare, train.",
        ],
    ),
    "after_that_is_no_list": (
        """\
steps:
  prepare: {script: a.py}
  train: {script: a.py, after: prepare}
""",
        [
            "3:32: steps.train.after: expected a list, found the text 'prepare': write [x, y], even where it is one",
        ],
    ),
    "cycle_of_three": (
        """\
steps:
  a: {script: a.py, after: [c]}
  b: {script: a.py, after: [a]}
  c: {script: a.py, after: [b]}
""",
        [
            "2:3: steps.a: steps wait for each other: a → c → b → a",
        ],
    ),
    "cycle_through_data": (
        """\
steps:
  a:
    script: a.py
    arguments: ["${{ steps.b.outputs.x }}", "${{ outputs.y }}"]
    outputs: {y: }
  b:
    script: a.py
    arguments: ["${{ steps.a.outputs.y }}", "${{ outputs.x }}"]
    outputs: {x: }
""",
        [
            "2:3: steps.a: steps wait for each other: a → b → a",
        ],
    ),
    "step_after_itself": (
        """\
steps:
  a: {script: a.py, after: [a]}
""",
        [
            "2:3: steps.a: step 'a' waits for itself",
        ],
    ),
    "argument_names_an_unknown_input": (
        """\
steps:
  train:
    script: a.py
    inputs: {images: {path: images}}
    arguments: [--in, "${{ inputs.image }}"]
""",
        [
            "5:24: steps.train.arguments[1]: this step has no input 'image'. Did you mean 'images'? There are: images.",
        ],
    ),
    "argument_names_data_that_is_no_input": (
        """\
data: {images: {path: images}}
steps:
  train:
    script: a.py
    arguments: [--in, "${{ inputs.images }}"]
""",
        [
            "5:24: steps.train.arguments[1]: this step has no input 'images': add it to `inputs`, as `images: images`",
        ],
    ),
    "argument_names_an_unknown_output": (
        """\
steps:
  train:
    script: a.py
    arguments: ["--out=${{ outputs.model }}"]
""",
        [
            "4:24: steps.train.arguments[0]: this step has no output 'model'. There are none.",
        ],
    ),
    "argument_names_an_unknown_parameter": (
        """\
parameters: {alpha: 1}
steps:
  train:
    script: a.py
    arguments: ["--alpha", "${{ parameters.alhpa }}"]
""",
        [
            "5:29: steps.train.arguments[1]: there is no parameter 'alhpa'. Did you mean 'alpha'? There are: alpha.",
        ],
    ),
    "argument_names_an_unknown_step": (
        """\
steps:
  prepare: {script: a.py, outputs: {data: }}
  train:
    script: a.py
    arguments: ["${{ steps.preprae.outputs.data }}"]
""",
        [
            "5:18: steps.train.arguments[0]: there is no step 'preprae'. Did you mean 'prepare'? There are: prepare, train.",
        ],
    ),
    "argument_names_an_unknown_output_of_a_step": (
        """\
steps:
  prepare: {script: a.py, outputs: {data: }}
  train:
    script: a.py
    arguments: ["${{ steps.prepare.outputs.date }}"]
""",
        [
            "5:18: steps.train.arguments[0]: step 'prepare' has no output 'date'. Did you mean 'data'? There are: data.",
        ],
    ),
    "binding_that_names_nothing": (
        """\
steps:
  train:
    script: a.py
    arguments: ["--x", "y ${{ input.x }}"]
""",
        [
            "4:27: steps.train.arguments[1]: `${{ input.x }}` names nothing: expected inputs.<name>, outputs.<name>, parameters.<name> or steps.<step>.outputs.<name>",
        ],
    ),
    "binding_that_is_not_closed": (
        """\
steps:
  train:
    script: a.py
    arguments: ["${{ inputs.x"]
""",
        [
            "4:18: steps.train.arguments[0]: `${{` is never closed: write `${{ … }}`, or `$${{` for the characters themselves",
        ],
    ),
    "binding_without_quotes_in_a_list": (
        """\
steps:
  train:
    script: a.py
    arguments: [--x, ${{ inputs.x }}]
""",
        [
            '4:22: inside of [ ] and { } a `${{ … }}` needs quotes: "${{ … }}"',
        ],
    ),
    "binding_without_quotes_in_a_mapping": (
        """\
steps:
  train:
    script: a.py
    parameters: {lr: ${{ parameters.lr }}}
""",
        [
            '4:22: inside of [ ] and { } a `${{ … }}` needs quotes: "${{ … }}"',
        ],
    ),
    "binding_without_a_dollar_sign": (
        """\
steps:
  train:
    script: a.py
    arguments:
      - {{ inputs.x }}
""",
        [
            "5:9: steps.train.arguments[0]: expected text, a number or true/false, found an empty mapping",
            "5:10: expected text as a key, found a mapping: text that begins with `{` or `[` needs quotes",
        ],
    ),
    "argument_that_is_nothing": (
        """\
steps:
  train:
    script: a.py
    arguments: [--x, ]
    inputs: {x: {path: y}}
    parameters: {x: }
""",
        [
            "6:18: steps.train.parameters.x: expected text, a number or true/false, found nothing",
        ],
    ),
    "argument_that_is_a_mapping": (
        """\
steps:
  train:
    script: a.py
    arguments:
      - --x: 3
""",
        [
            "5:9: steps.train.arguments[0]: expected text, a number or true/false, found a mapping: text that has `{` or `: ` in it needs quotes",
        ],
    ),
    "input_of_unknown_data": (
        """\
data: {images: {path: images}}
steps:
  train:
    script: a.py
    inputs: {x: imges}
""",
        [
            "5:17: steps.train.inputs.x.data: there is no data 'imges'. Did you mean 'images'? There are: images.",
        ],
    ),
    "input_without_data": (
        """\
steps:
  train:
    script: a.py
    inputs:
      x: {mode: download}
""",
        [
            "5:7: steps.train.inputs.x: expected one of `data` (a data entry's name), `from` (a binding) and data itself, found none of them",
        ],
    ),
    "input_with_two_sources": (
        """\
data: {images: {path: images}}
steps:
  train:
    script: a.py
    inputs:
      x: {data: images, path: images}
""",
        [
            "6:7: steps.train.inputs.x: expected one of `data` (a data entry's name), `from` (a binding) and data itself, found `data` and `path`",
        ],
    ),
    "input_from_plain_text": (
        """\
steps:
  train:
    script: a.py
    inputs:
      x: {from: prepare}
""",
        [
            "5:17: steps.train.inputs.x.from: expected `${{steps.<step>.outputs.<output>}}` or `${{parameters.<name>}}`, found 'prepare'",
        ],
    ),
    "input_from_a_parameter_that_is_no_data": (
        """\
parameters: {alpha: 1}
steps:
  train:
    script: a.py
    inputs:
      x: ${{ parameters.alpha }}
""",
        [
            "6:10: steps.train.inputs.x.from: parameter 'alpha' is no data: give it `type: data`, or use it in `arguments`",
        ],
    ),
    "input_mode_that_there_is_not": (
        """\
steps:
  train:
    script: a.py
    inputs:
      x: {path: images, mode: downlaod}
""",
        [
            "5:31: steps.train.inputs.x.mode: expected 'mount', 'download' or 'direct', found the text 'downlaod'. Did you mean 'download'?",
        ],
    ),
    "input_mode_of_a_table": (
        """\
steps:
  train:
    script: a.py
    inputs:
      x: {path: t.csv, type: tabular, mode: mount}
""",
        [
            "5:45: steps.train.inputs.x.mode: a table has no files to mount: the mode of a table is 'direct'",
        ],
    ),
    "input_fingerprint_of_an_output": (
        """\
steps:
  a: {script: a.py, outputs: {x: }}
  b:
    script: a.py
    inputs:
      x: {from: "${{ steps.a.outputs.x }}", fingerprint: etag}
""",
        [
            "6:45: steps.b.inputs.x.fingerprint: an output of a step is always known by its content: leave it out",
        ],
    ),
    "input_name_with_a_hyphen": (
        """\
steps:
  train:
    script: a.py
    inputs: {my-data: {path: x}}
""",
        [
            "4:14: steps.train.inputs.my-data: 'my-data' can't be a name here: use letters, digits and `_`, no digit first",
        ],
    ),
    "input_and_output_of_one_name": (
        """\
steps:
  train:
    script: a.py
    inputs: {x: {path: x}}
    outputs: {x: }
""",
        [
            "5:15: steps.train.outputs.x: 'x' is an input of this step too",
        ],
    ),
    "two_outputs_at_one_place": (
        """\
default_datastore: blob
steps:
  a: {script: a.py, outputs: {x: {path: made/x}}}
  b: {script: a.py, outputs: {y: {datastore: blob, path: made//x/}}}
""",
        [
            "4:58: steps.b.outputs.y.path: output 'x' of step 'a' is written there too ('made/x'): give each a place of its own, or {run-id} in the path",
        ],
    ),
    "output_inside_of_another": (
        """\
steps:
  a: {script: a.py, outputs: {x: {path: made}}}
  b: {script: a.py, outputs: {y: {path: made/x}}}
""",
        [
            "3:41: steps.b.outputs.y.path: output 'x' of step 'a' is written there too ('made'): give each a place of its own, or {run-id} in the path",
        ],
    ),
    "two_outputs_of_a_step_in_one_folder_of_the_run": (
        """\
steps:
  a:
    script: a.py
    outputs:
      x: {path: "made/{run-id}"}
      y: {path: "made/{run-id}"}
""",
        [
            "6:17: steps.a.outputs.y.path: output 'x' of step 'a' is written there too ('made/{run-id}'): give each a place of its own, or {run-id} in the path",
        ],
    ),
    "placeholder_that_nothing_fills_in": (
        """\
steps:
  a: {script: a.py, outputs: {x: {path: "made/{run_id}"}}}
""",
        [
            "2:41: steps.a.outputs.x.path: nothing fills in {run_id}. Did you mean 'run-id'? There are: output-name, run-id.",
        ],
    ),
    "output_that_leaves_the_datastore": (
        """\
steps:
  a: {script: a.py, outputs: {x: {path: ../made}}}
""",
        [
            "2:41: steps.a.outputs.x.path: '../made' leaves the datastore",
        ],
    ),
    "output_register_without_a_name": (
        """\
steps:
  a:
    script: a.py
    outputs:
      x:
        register: {description: y}
""",
        [
            "6:9: steps.a.outputs.x.register: the field 'name' is missing",
        ],
    ),
    "parameter_default_of_another_type": (
        """\
parameters:
  alpha: {type: number, default: "1"}
steps: {a: {script: a.py}}
""",
        [
            "2:34: parameters.alpha.default: parameter 'alpha' takes number, not '1' (str)",
        ],
    ),
    "parameter_default_out_of_bounds": (
        """\
parameters:
  alpha: {default: 200, minimum: 0, maximum: 100}
steps: {a: {script: a.py}}
""",
        [
            "2:20: parameters.alpha.default: parameter 'alpha' takes integer, at least 0 and at most 100, not 200 (int)",
        ],
    ),
    "parameter_default_that_is_no_choice": (
        """\
parameters:
  kind: {default: gin, enum: [gini, entropy]}
steps: {a: {script: a.py}}
""",
        [
            "2:19: parameters.kind.default: parameter 'kind' takes string, one of 'gini', 'entropy', not 'gin' (str)",
        ],
    ),
    "parameter_choice_of_another_type": (
        """\
parameters:
  kind: {type: integer, default: 1, enum: [1, two]}
steps: {a: {script: a.py}}
""",
        [
            "2:47: parameters.kind.enum[1]: parameter 'kind' takes integer, not 'two' (str)",
        ],
    ),
    "parameter_bounds_in_the_wrong_order": (
        """\
parameters:
  alpha: {default: 5, minimum: 10, maximum: 1}
steps: {a: {script: a.py}}
""",
        [
            "2:20: parameters.alpha.default: parameter 'alpha' takes integer, at least 10 and at most 1, not 5 (int)",
            "2:32: parameters.alpha.minimum: 10 is more than the maximum, 1",
        ],
    ),
    "parameter_bounds_of_text": (
        """\
parameters:
  alpha: {default: x, minimum: 1}
steps: {a: {script: a.py}}
""",
        [
            "2:23: parameters.alpha.minimum: means nothing for the type 'string'",
        ],
    ),
    "parameter_type_that_there_is_not": (
        """\
parameters:
  alpha: {type: float, default: 1.0}
steps: {a: {script: a.py}}
""",
        [
            "2:17: parameters.alpha.type: expected 'string', 'integer', 'number', 'boolean' or 'data', found the text 'float'",
        ],
    ),
    "parameter_called_as_a_run_option": (
        """\
parameters:
  regenerate_outputs: false
steps: {a: {script: a.py}}
""",
        [
            "2:3: parameters.regenerate_outputs: 'regenerate_outputs' is an option of every run: call the parameter otherwise",
        ],
    ),
    "parameter_of_unknown_data": (
        """\
data: {images: {path: images}}
parameters:
  where: {type: data, default: image}
steps: {a: {script: a.py}}
""",
        [
            "3:32: parameters.where.default: there is no data 'image'. Did you mean 'images'? There are: images.",
        ],
    ),
    "parameter_of_wrong_data": (
        """\
parameters:
  where: {type: data, default: {datastore: x, pth: y}}
steps: {a: {script: a.py}}
""",
        [
            "2:47: parameters.where.default.pth: unknown field. Did you mean 'path'?",
        ],
    ),
    "step_parameter_inside_of_text": (
        """\
parameters: {lr: 1}
steps:
  a: {script: a.py, parameters: {x: "is ${{ parameters.lr }}"}}
""",
        [
            "3:37: steps.a.parameters.x: expected text, or one binding to a parameter and nothing else, found 'is ${{ parameters.lr }}'",
        ],
    ),
    "step_parameter_that_is_unknown": (
        """\
parameters: {lr: 1}
steps:
  a: {script: a.py, parameters: {x: "${{ parameters.rl }}"}}
""",
        [
            "3:37: steps.a.parameters.x: there is no parameter 'rl'. There are: lr.",
        ],
    ),
    "data_without_a_place": (
        """\
data:
  images: {datastore: blob}
steps: {a: {script: a.py}}
""",
        [
            "2:3: data.images: expected one of `path`, `paths`, `url` and `dataset`, found none of them",
        ],
    ),
    "data_with_two_places": (
        """\
data:
  images: {path: a, url: https://example.org/x}
steps: {a: {script: a.py}}
""",
        [
            "2:3: data.images: expected one of `path`, `paths`, `url` and `dataset`, found `path` and `url`",
        ],
    ),
    "data_with_a_url_that_is_none": (
        """\
data:
  images: {url: example.org/x}
steps: {a: {script: a.py}}
""",
        [
            "2:17: data.images.url: expected a URL such as https://…, found 'example.org/x'",
        ],
    ),
    "data_with_a_version_of_a_path": (
        """\
data:
  images: {path: a, version: 2}
steps: {a: {script: a.py}}
""",
        [
            "2:21: data.images.version: means something for a registered dataset only",
        ],
    ),
    "data_with_table_options_and_no_table": (
        """\
data:
  images: {path: a.csv, separator: ";"}
steps: {a: {script: a.py}}
""",
        [
            "2:25: data.images.separator: means something with `type: tabular` only",
        ],
    ),
    "data_paths_that_are_no_text": (
        """\
data:
  images: {paths: [a, {store: x}]}
steps: {a: {script: a.py}}
""",
        [
            "2:19: data.images.paths: expected each path as text or as {datastore: …, path: …}, found a mapping as item 2",
        ],
    ),
    "dataset_version_that_is_text": (
        """\
data:
  iris: {dataset: iris, version: latest}
steps: {a: {script: a.py}}
""",
        [
            "2:34: data.iris.version: expected a whole number, found the text 'latest'",
        ],
    ),
    "environment_that_is_misspelt": (
        """\
environments: {sklearn: {pip: [scikit-learn]}}
steps:
  a: {script: a.py, environment: skleran}
""",
        [
            "3:34: steps.a.environment: there is no environment 'skleran' here. Did you mean 'sklearn'? There are: sklearn. A registered one whose name is so near is written 'skleran:latest'",
        ],
    ),
    "environment_version_that_is_a_number": (
        """\
environments:
  sklearn:
    python: 3.10
steps: {a: {script: a.py}}
""",
        [
            "3:13: environments.sklearn.python: expected text, found the number 3.1: put it in quotes",
        ],
    ),
    "environment_that_installs_and_does_not": (
        """\
environments:
  sklearn: {user_managed: true, pip: [scikit-learn]}
steps: {a: {script: a.py}}
""",
        [
            "2:38: environments.sklearn.pip: nothing is installed where `user_managed` is true: leave one of them out",
        ],
    ),
    "environment_python_that_is_no_version": (
        """\
default_environment: {python: three}
steps: {a: {script: a.py}}
""",
        [
            "1:31: default_environment.python: expected a version such as '3.12', found 'three'",
        ],
    ),
    "schedule_preset_that_there_is_not": (
        """\
schedule: "@dayly"
steps: {a: {script: a.py}}
""",
        [
            "1:11: schedule.cron: there is no preset '@dayly'. Did you mean '@daily'? There are: @continuous, @daily, @hourly, @monthly, @once, @quarterly, @weekly, @yearly.",
        ],
    ),
    "schedule_that_is_no_cron": (
        """\
schedule: every day
steps: {a: {script: a.py}}
""",
        [
            "1:11: schedule.cron: expected a cron expression such as '0 6 * * *' or a preset such as @daily, found 'every day'",
        ],
    ),
    "schedule_without_quotes": (
        """\
schedule: @daily
steps: {a: {script: a.py}}
""",
        [
            "1:11: text that begins with `@` needs quotes",
        ],
    ),
    "schedule_of_two_kinds": (
        """\
schedule: {cron: "0 6 * * *", every: 1h}
steps: {a: {script: a.py}}
""",
        [
            "1:1: schedule: expected one of `cron`, `every`, `assets` and `timetable`, found `cron` and `every`",
        ],
    ),
    "schedule_in_an_unknown_time_zone": (
        """\
schedule: {cron: "0 6 * * *", timezone: Europe/Berln}
steps: {a: {script: a.py}}
""",
        [
            "1:41: schedule.timezone: there is no time zone 'Europe/Berln'. Did you mean 'Europe/Berlin'?",
        ],
    ),
    "schedule_with_a_parameter_without_default": (
        """\
schedule: "@daily"
parameters:
  alpha: {type: number}
steps: {a: {script: a.py}}
""",
        [
            "3:3: parameters.alpha: a pipeline with a schedule needs a default for every parameter: add `default`",
        ],
    ),
    "timetable_that_is_no_class": (
        """\
schedule: {timetable: workdays}
steps: {a: {script: a.py}}
""",
        [
            "1:23: schedule.timetable: expected a class as `module.Class`, found 'workdays'",
        ],
    ),
    "duration_that_is_none": (
        """\
timeout: 1 hour
steps: {a: {script: a.py}}
""",
        [
            "1:10: timeout: expected a duration such as 90s, 10m, 1h30m or 2d, or a number of seconds, found the text '1 hour'",
        ],
    ),
    "date_that_is_none": (
        """\
start_date: 2026-02-30
steps: {a: {script: a.py}}
""",
        [
            "1:13: start_date: expected a date such as 2026-01-31 or a moment such as 2026-01-31T06:00:00+01:00, found '2026-02-30'",
        ],
    ),
    "end_before_start": (
        """\
start_date: 2026-02-01
end_date: 2026-01-01
steps: {a: {script: a.py}}
""",
        [
            "2:11: end_date: 2026-01-01 is before the start date, 2026-02-01",
        ],
    ),
    "catch_up_from_nowhere": (
        """\
schedule: "@daily"
catchup: true
steps: {a: {script: a.py}}
""",
        [
            "2:1: catchup: there is nothing to catch up on without a `start_date`",
        ],
    ),
    "truth_value_of_yaml_1_1": (
        """\
catchup: yes
steps: {a: {script: a.py}}
""",
        [
            "1:10: catchup: expected true or false, found the text 'yes'",
        ],
    ),
    "retries_below_zero": (
        """\
retries: -1
steps: {a: {script: a.py}}
""",
        [
            "1:10: retries: expected at least 0, found the number -1",
        ],
    ),
    "tags_that_are_text": (
        """\
tags: example
steps: {a: {script: a.py}}
""",
        [
            "1:7: tags: expected a list, found the text 'example': write [x, y], even where it is one",
        ],
    ),
    "text_field_with_a_truth_value": (
        """\
owner: true
steps: {a: {script: a.py}}
""",
        [
            "1:8: owner: expected text, found true: put it in quotes",
        ],
    ),
    "tab_in_the_indentation": (
        """\
steps:
\ta: {script: a.py}
""",
        [
            "2:1: a tab in the indentation: YAML takes spaces only",
        ],
    ),
    "colon_inside_of_text": (
        """\
description: note: this
steps: {a: {script: a.py}}
""",
        [
            "1:18: a `:` where no field can be: the indentation is wrong, or text with `: ` in it needs quotes",
        ],
    ),
    "list_that_is_not_closed": (
        """\
steps:
  a:
    script: a.py
    arguments: [--x
""",
        [
            "4:20: this is no YAML: while parsing a flow sequence: did not find expected ',' or ']' (it begins in line 4)",
        ],
    ),
    "alias_of_nothing": (
        """\
steps:
  a: *base
""",
        [
            "2:6: an alias of an anchor that does not exist above it",
        ],
    ),
    "anchor_inside_of_itself": (
        """\
steps: &all
  a: *all
""",
        [
            "1:8: an anchor that has itself in it",
            "2:3: steps.a: expected a mapping of fields to values, found nothing",
        ],
    ),
    "merge_of_something_else": (
        """\
x-base: &base [1]
steps:
  a:
    <<: *base
    script: a.py
""",
        [
            "1:16: expected an alias of a mapping after `<<:`",
        ],
    ),
    "key_that_is_a_number": (
        """\
steps:
  1: {script: a.py}
""",
        [
            "1:1: steps: expected at least one step",
            "2:3: expected text as a key, found 1: put it in quotes",
        ],
    ),
    "tag_that_means_nothing": (
        """\
steps:
  a: !step {script: a.py}
""",
        [
            "2:6: the tag '!step' means nothing here: leave it out",
        ],
    ),
    "empty_file": (
        """\
""",
        [
            "1:1: the file is empty: expected `name:` and `steps:`",
        ],
    ),
    "document_that_is_a_list": (
        """\
- a
""",
        [
            "1:1: expected a mapping with `name:` and `steps:`",
        ],
    ),
    "two_documents": (
        """\
steps: {a: {script: a.py}}
---
steps: {a: {script: a.py}}
""",
        [
            "2:1: this is no YAML: expected a single document in the stream: but found another document (it begins in line 1)",
        ],
    ),
}


def heads(error: DefinitionError, folder: Path) -> list[str]:
    """The first line of each error, without the file and without what there is to choose from."""
    lines = str(error).replace(str(folder), "FOLDER").splitlines()
    found = [line.removeprefix("p.pipeline.yaml:") for line in lines if line.startswith("p.pipeline.yaml:")]
    return [line.partition(" There are: ")[0] if len(line) > 190 else line for line in found]


@pytest.mark.parametrize("name", BROKEN)
def test_everything_that_is_wrong_is_named_with_its_place(project, name):
    text, expected = BROKEN[name]
    project.write("a.py")
    (project.folder / "p.pipeline.yaml").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml")).to_spec()
    assert heads(caught.value, project.folder) == expected


def test_an_error_shows_the_line_and_marks_the_place(project):
    project.write("a.py")
    project.write("p.pipeline.yaml", BROKEN["argument_names_an_unknown_input"][0])
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml")).to_spec()
    assert str(caught.value).splitlines()[1:] == [
        '  5 |     arguments: [--in, "${{ inputs.image }}"]',
        "    |                        ^^^^^^^^^^^^^^^^^^^^",
    ]


def test_an_error_in_a_line_with_tabs_marks_the_place_below_it(project):
    project.write("a.py")
    project.write("p.pipeline.yaml", "steps:\n  a: {script: a.py,\tretries: -1}\n")
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))
    assert str(caught.value).splitlines()[2] == "    | " + " " * 19 + "\t" + " " * 9 + "^^"


def test_wrong_fields_and_wrong_names_are_told_at_once(project):
    project.write("a.py")
    project.write(
        "p.pipeline.yaml",
        """
        parameters:
          alpha: {type: numbr, default: 1}
        steps:
          train:
            scrpt: a.py
            arguments: ["${{ inputs.x }}", "${{ parameters.alpha }}", "${{ parameters.beta }}"]
          test: {script: a.py, after: [trian]}
          test: {script: a.py}
        """,
    )
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))
    places = [line.split(": ")[0] for line in heads(caught.value, project.folder)]
    assert places == ["2:17", "4:3", "5:5", "6:18", "6:64", "7:32", "8:3"]


def test_problems_are_there_for_programs_too():
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_document({"name": "p", "steps": {"a": {"script": "a.py", "retires": 1}}})
    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert problem.path == ("steps", "a", "retires")
    assert str(caught.value).startswith("steps.a.retires: unknown field. Did you mean 'retries'?")


def test_definitions_that_come_from_no_file_have_errors_without_positions(project):
    definition = PipelineDefinition.from_document({"name": "p", "steps": {"a": {"script": "a.py"}}})
    with pytest.raises(
        DefinitionError,
        match=r"^pipeline 'p': steps\.a\.script: there is no file 'a\.py' in the source directory /",
    ):
        definition.to_spec()


def test_a_file_that_does_not_exist_is_named():
    with pytest.raises(DefinitionError, match=r"nowhere\.pipeline\.yaml: there is no such file"):
        PipelineDefinition.from_yaml(Path("nowhere.pipeline.yaml"))


def test_a_file_that_is_no_text_is_named(project):
    (project.folder / "p.pipeline.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(DefinitionError, match=r"p\.pipeline\.yaml: it is no UTF-8 text \(byte 6\)"):
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))


def test_aliases_that_grow_without_end_are_refused(project):
    lines = ["x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    text = "\n".join([*lines, "steps: {a: {script: a.py, tags: *a11}}"]) + "\n"
    with pytest.raises(DefinitionError, match="aliases make more than 100000 values"):
        PipelineDefinition.from_yaml(text)


def test_nesting_without_end_is_refused():
    with pytest.raises(DefinitionError):
        PipelineDefinition.from_yaml("steps:\n  " + "[" * 5000 + "\n")
