"""Makes the environment variables of a script.

It gets a clean environment: of the launcher's own variables only those that say where the machine's things are. Then
come the ones of the reference, and last what the step's environment sets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from airflow_ml_pipelines.runtime.context import VARIABLE
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["script_variables"]

_PLACES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP")
_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_ALLOWED = frozenset((*_PLACES, *_LIBRARIES, *_CERTIFICATES, *_PROXIES, *map(str.upper, _PROXIES)))
_ALLOWED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_")
# an input called "path" must not become the PATH, nor any other variable that says how programs start
_RESERVED = re.compile(
    r"PATH|HOME|USER|SHELL|TZ|LANG|LC_.*|TMPDIR|PYTHON.*|LD_.*|DYLD_.*|AZUREML_.*|ML_PIPELINES_.*",
    re.IGNORECASE,
)


def script_variables(
    job: Job,
    launcher: Mapping[str, str],
    *,
    context: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    bootstrap: str,
) -> dict[str, str]:
    """Return the environment of a job's script.

    :param launcher: the launcher's own environment.
    :param context: the path of the document that ``Run.get_context()`` reads.
    :param inputs: the value of each input.
    :param outputs: the path of each output.
    :param bootstrap: the folder whose ``sitecustomize`` every Python process of the script imports.
    """
    variables = {
        name: value
        for name, value in launcher.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }
    folder = os.path.dirname(job.interpreter)
    if folder:  # so that programs that the environment has are found, as in an activated one
        variables["PATH"] = os.pathsep.join(filter(None, (folder, variables.get("PATH"))))
    for values in (outputs, inputs):
        for name, value in values.items():
            variables[f"AZUREML_DATAREFERENCE_{name}"] = value
            for spelling in (name.upper(), name):
                if spelling not in _ALLOWED and not _RESERVED.fullmatch(spelling):
                    variables[spelling] = value
    for name, value in job.parameters.items():
        variables[f"AML_PARAMETER_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"] = value
    variables["AZUREML_RUN_ID"] = job.run.id
    variables["AZUREML_ROOT_RUN_ID"] = job.run.run
    variables["AZUREML_ARM_WORKSPACE_NAME"] = job.run.workspace
    variables["AZUREML_ARM_PROJECT_NAME"] = job.run.experiment
    modes = ",".join(f"{name}:{item.mode}" for name, item in job.inputs.items())
    variables["AZUREML_DATASET_ENVIRONMENT_VARS"] = modes
    variables["AZUREML_DATASET_FILE_OUTPUTS"] = ";".join(job.outputs)
    variables.update(job.variables)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (bootstrap, job.variables.get("PYTHONPATH"))))
    variables[VARIABLE] = context
    return variables
