"""``python -m pipeline.geometry`` compiles all that a job of any kind needs: the first job is as fast as the second."""

import json
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

SCRIPT = """
import importlib, json, pkgutil, sys, tempfile
from pathlib import Path
import engine_jobs
import numpy as np
from numba.core.dispatcher import Dispatcher
import pipeline.geometry
import pipeline.geometry.__main__ as warming
from pipeline.geometry.preview import preview
from pipeline.ports.meshes import read_glb

modules = [importlib.import_module(f"pipeline.geometry.{one.name}") for one in pkgutil.iter_modules(pipeline.geometry.__path__)]

def compiled():
    kernels = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)}
    return {f"{one.py_func.__module__}.{one.py_func.__name__}{signature}" for one in kernels.values() for signature in one.signatures}

warming.main()
warmed = compiled()
with tempfile.TemporaryDirectory() as folder:
    engine_jobs.make_all(Path(folder), 1)
    front = engine_jobs.pictures(engine_jobs.MODES["textured"])[engine_jobs.View.FRONT]
    preview(read_glb(Path(folder, "textured", "mesh").read_bytes()).parts, front)
print(json.dumps([sorted(compiled() - warmed), len(warmed)]))
"""


def test_no_job_of_any_kind_compiles_anything() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, timeout=300, cwd=TESTS)
    cold, count = json.loads(done.stdout)
    assert cold == []
    assert count > 15
