"""Dagster's log of a run as lines of FX_HOME/logs/runs.log. deploy/dagster.yaml names it (python_logs)."""

import functools
import logging
import os
from pathlib import Path

from fx_assets.logs.steps import partition_of
from fx_serving.client.home import Stores
from fx_serving.client.log_files import RotatingFile
from fx_serving.client.logs import FileHandler

# Of Dagster's own events, which it logs as DEBUG, those that tell the course of a run (PIPELINE: its old word).
TOLD = frozenset({"PIPELINE_START", "PIPELINE_SUCCESS", "PIPELINE_CANCELED", "STEP_START", "STEP_SUCCESS"})
LOG = "runs.log"


class RunHandler(FileHandler):
    """Run id, partition and step's words of each record; nothing without FX_HOME."""

    def __init__(self) -> None:
        super().__init__(_file(os.environ.get("FX_HOME", "")))
        self.setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None) or {}
        event = meta.get("dagster_event")
        told = event is not None and event.event_type_value in TOLD
        if not os.environ.get("FX_HOME") or (record.levelno < logging.INFO and not told):
            return
        super().emit(_own(record, meta))


@functools.cache
def _file(home: str) -> RotatingFile:
    """One for the process: Dagster makes a handler for each run."""
    return RotatingFile(Stores(Path(home)).logs / LOG)


def _own(record: logging.LogRecord, meta: dict) -> logging.LogRecord:
    """A record of ours: Dagster's are shared by its handlers, and say run and job within the message."""
    event = meta.get("dagster_event")
    step = f"{meta['step_key']}: " if meta.get("step_key") else ""
    kind = f"{event.event_type_value.replace('PIPELINE', 'RUN')}: " if event is not None else ""
    made = logging.makeLogRecord(record.__dict__)
    made.msg, made.args = f"{kind}{step}{meta.get('orig_message') or record.getMessage()}", ()
    made.levelno = max(record.levelno, logging.INFO)
    made.levelname = logging.getLevelName(made.levelno)
    made.run_id = meta.get("run_id")
    made.partition = partition_of(meta.get("job_tags") or {})
    return made
