"""What one would write with the official client: a thread for every set, a look every three seconds.

    python tests/bench/sdk_script.py BASE_URL FACE_COUNT OUT_FOLDER SET_FOLDER ...

No ledger, no checks, no second try beyond the client's own: what ``mvmesh run`` is measured against.
"""

import base64
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
from scenario_sdk import Scenario

from pipeline.domain.views import recognise

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
POLL_S = 3


def make(client: Scenario, face_count: int, out: Path, folder: Path) -> None:
    inputs = {}
    for path in sorted(folder.iterdir()):
        if view := recognise(path.name):
            image = base64.b64encode(path.read_bytes()).decode()
            inputs[view.field] = client.assets.upload(name=path.name, image=image, hide=True).asset.id
    job = client.generate.run_model(MODEL, body={**inputs, "faceCount": face_count}).job
    while job.status not in {"success", "failure", "canceled"}:
        time.sleep(POLL_S)  # noqa: TID251 - as such scripts do
        job = client.jobs.retrieve(job.job_id).job
    mesh = client.assets.retrieve(job.metadata.asset_ids[0]).asset
    (out / f"{folder.name}.glb").write_bytes(httpx.get(mesh.url).content)


def main(base_url: str, face_count: str, out: str, *folders: str) -> None:
    client = Scenario(
        api_key=os.environ["SCENARIO_SDK_API_KEY"],
        api_secret=os.environ["SCENARIO_SDK_API_SECRET"],
        base_url=base_url,
    )
    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(partial(make, client, int(face_count), Path(out)), map(Path, folders)))


if __name__ == "__main__":
    main(*sys.argv[1:])
