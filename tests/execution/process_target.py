"""A compute target as another project may write one: each job is a process that nobody waits for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.execution.targets.port import Owner, Place, Prepared, Reaped
from airflow_ml_pipelines.execution.targets.results import ended_without_result, read_result

TOP = Path(tempfile.gettempdir()) / f"process-target-{os.getuid()}"


class ProcessTarget:
    def __init__(self, spec):
        self.name = spec.name

    def check(self):
        TOP.mkdir(exist_ok=True)

    def identify_image(self, image):
        raise ComputeTargetException("processes have no images")

    def prepare(self, environment, workspace, *, log):
        return Prepared(sys.executable)

    def place(self, work):
        return Place(target=self.name, id=hashlib.sha256(work.job.folder.encode()).hexdigest()[:16])

    def start(self, work, *, log):
        folder = TOP / self.place(work).id
        folder.mkdir(parents=True, mode=0o700)
        ids = work.job.run
        owner = [ids.pipeline, ids.run, ids.step, ids.attempt]
        (folder / "owner.json").write_text(json.dumps([work.workspace.store.url, owner]))
        (folder / "job.json").write_text(json.dumps(work.job.to_dict()))
        with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow_ml_pipelines.runtime.launcher", "job.json"],
                cwd=folder,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        process.returncode = 0  # nobody waits for it, so nobody is to be warned
        (folder / "pid").write_text(str(process.pid))
        return ProcessJob(folder, work.job, work.workspace)

    def find(self, place, job, workspace):
        folder = TOP / place.id
        return ProcessJob(folder, job, workspace) if (folder / "pid").exists() else None

    def reap(self, workspace, why):
        for folder in TOP.glob("*"):
            url, ids = json.loads((folder / "owner.json").read_text())
            owner = Owner(*ids)
            reason = why(owner) if url == workspace.store.url else None
            if reason is not None:
                ProcessJob(folder, None, workspace).remove()
                yield Reaped(folder.name, owner, reason)


class ProcessJob:
    def __init__(self, folder, job, workspace):
        self.folder, self.job, self.workspace = folder, job, workspace
        self.pid = int((folder / "pid").read_text())

    def follow(self, *, on_line, canceled):
        started, reason, limit = time.time(), None, None
        with open(self.folder / "out", "rb") as out, open(self.folder / "err", "rb") as err:
            while True:
                over = self.is_over()
                for stream, file in (("stdout", out), ("stderr", err)):
                    self._tell(stream, file, on_line, over)
                if over:
                    break
                if reason is None and (reason := canceled()) is not None:
                    os.kill(self.pid, signal.SIGTERM)
                    limit = time.monotonic() + 10
                if limit is not None and time.monotonic() > limit:
                    self._kill()
                time.sleep(0.05)
        tail = (self.folder / "err").read_text().splitlines()[-20:]
        return read_result(self.workspace, self.job) or ended_without_result(
            started, canceled=reason, what="the launcher ended", tail=tail
        )

    def _tell(self, stream, file, on_line, over):
        while line := file.readline():
            if not line.endswith(b"\n") and not over:
                file.seek(-len(line), os.SEEK_CUR)
                return
            text = line.decode("utf-8", "replace").rstrip("\n")
            on_line(stream, text)

    def is_over(self):
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def _kill(self):
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def remove(self):
        if not self.is_over():
            self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)
