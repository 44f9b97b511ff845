"""``mvmesh run`` as a real process against a service that repeats our credentials in all it says, and names things to
do harm.
"""

import json
import os
import re
import sys
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from simulated_ports import glb

from pipeline.ports.clock import utc_now

pytestmark = pytest.mark.anyio

KEY, SECRET = "api_KEY/of+tests", 's3cret "of" <tests> äöü'
EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u200b\u2028\n=cmd|' /C calc'!A0 <script>alert(1)</script> ../../../evil"
MESH = glb(faces=30_000)


class Hostile:
    def __init__(self, *, refuses: bool) -> None:
        self.uploads = 0
        self.refuses, self.jobs, self.downloads, self.process_lists = refuses, {}, [], []
        self.authorization = self.doomed = ""
        self.app = web.Application(client_max_size=2**26, middlewares=[self._heard])
        self.app.add_routes(
            [
                web.get("/v1/teams", self._teams),
                web.get("/v1/models/{id}", self._refusal),
                web.post("/v1/assets", self._upload),
                web.post("/v1/assets/get-bulk", self._assets),
                web.post("/v1/generate/custom/{model}", self._generate),
                web.get("/v1/jobs", self._list),
                web.get("/v1/jobs/{id}", self._job),
                web.get("/files/{n}", self._file),
            ]
        )

    @web.middleware
    async def _heard(self, request, handler):
        self.process_lists.append(b"".join(_command_lines()))
        if request.path.startswith("/v1/"):
            self.authorization = request.headers["Authorization"]
        else:
            self.downloads.append(dict(request.headers))
        response = await handler(request)
        response.headers["X-Request-Id"] = f"id {self.authorization} {KEY}"
        return response

    def said(self):
        return f"you sent {self.authorization}, {KEY}:{SECRET}, {EVIL}"

    async def _refusal(self, _):
        return web.json_response({"reason": self.said(), "hint": self.said(), "message": self.said()}, status=404)

    async def _teams(self, _):
        return web.json_response({"teams": []})

    async def _upload(self, request):
        if self.refuses:
            return await self._refusal(request)
        self.uploads += 1
        return web.json_response({"asset": {"id": f"../{self.uploads}/{EVIL}"}})

    async def _generate(self, request):
        if "dryRun" in request.query:
            return web.json_response({"creativeUnitsCost": 1}, status=269)
        number, at, inputs = len(self.jobs), utc_now().isoformat(), await request.json()
        self.doomed = self.doomed or inputs["frontImage"]
        is_good = inputs["frontImage"] != self.doomed
        self.jobs[f"../../job{number}{EVIL}"] = {
            "jobId": f"../../job{number}{EVIL}",
            "status": "success" if is_good else "failure",
            "createdAt": at,
            "updatedAt": at,
            "metadata": {
                "input": inputs,
                "assetIds": [f"{kind}{number}{EVIL}" for kind in ("mesh", "albedo", "odd")],
                "error": self.said(),
                "hint": self.said(),
            },
            "billing": {"cuCost": 1},
        }
        return web.json_response({"job": self.jobs[f"../../job{number}{EVIL}"] | {"status": "queued"}})

    async def _list(self, _):
        return web.json_response({"jobs": list(self.jobs.values())})

    async def _job(self, request):
        return web.json_response({"job": self.jobs[request.match_info["id"]]})

    async def _assets(self, request):
        asked = (await request.json())["assetIds"]
        return web.json_response({"assets": [self._asset(request, one) for one in asked]})

    def _asset(self, request, asset_id):
        kinds = {
            "mes": ("3d", "model/gltf-binary", f"img23d{EVIL}"),
            "alb": ("image", f"image/../../{EVIL}", "3d:texture:../../albedo"),
            "odd": ("3d", "model/../../../x", f"3d:texture:{EVIL}"),
        }
        kind, media_type, source = kinds[asset_id[:3]]
        return {
            "id": asset_id,
            "name": f"C:\\{EVIL}\0.glb",
            "fileName": "../../../evil.glb",
            "url": f"http://{request.host}/files/1?Expires=9999999999&Signature=signed",
            "kind": kind,
            "mimeType": media_type,
            "source": source,
            "properties": {"size": len(MESH)},
        }

    async def _file(self, _):
        return web.Response(
            body=MESH,
            content_type="model/gltf-binary",
            headers={"Content-Disposition": 'attachment; filename="../../../evil.glb"'},
        )


def _command_lines():
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield one.read_bytes()
        except OSError:
            continue  # it has ended


@pytest.fixture
def hostile_run(draw_set, write_manifest, tmp_path):
    """Runs all of it; the service, and all that a person or another program could read of the run."""

    async def run(*options, refuses=False):
        draw_set("chair")
        draw_set("lamp", colour="olive")
        service = Hostile(refuses=refuses)
        runner = web.AppRunner(service.app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        manifest = write_manifest(
            backend=f"http://127.0.0.1:{runner.addresses[0][1]}/v1",
            extra="acceptance: {on_low: skip}\npreflight: {consistency: skip}\n",
        )
        secrets = {"SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET": SECRET}
        command = [sys.executable, "-m", "pipeline", "run", str(manifest), "--yes", *options]
        with anyio.fail_after(100):
            done = await anyio.run_process(command, check=False, env=os.environ | secrets)
        await runner.cleanup()
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        return service, done, files

    return run


def shown(text):
    """What is no plain text: controls, what turns the direction of writing, what cannot be seen."""
    return re.findall(r"[^\n -~\u00a0-\u02ff\u2010-\u2027\u2190-\u2bff]", text)


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_credentials_and_harm_get_nowhere(hostile_run, tmp_path, refuses, options):
    service, done, files = await hostile_run(*options, refuses=refuses)
    assert done.returncode == 1, done.stderr.decode()[-3000:]
    told = {"stdout": done.stdout, "stderr": done.stderr, **files}
    hidden = [KEY, SECRET, json.dumps(SECRET)[1:-1], service.authorization.removeprefix("Basic ")]
    for place, content in told.items():
        assert not [one for one in hidden if one.encode() in content], place
    assert not [one for one in hidden if one.encode() in b"".join(service.process_lists)]
    for place, content in told.items():
        if Path(place).suffix in {"", ".html", ".csv", ".jsonl"} and b"SQLite" not in content[:16]:
            assert shown(content.decode()) == [], place
            assert b"<script>alert" not in content or place != tmp_path / "out" / "report.html"
    outside = {path.relative_to(tmp_path).parts[0] for path in files}
    assert outside == {"pictures", "batch.yaml", "out"}
    assert not [path for path in files if "evil" in path.name]


async def test_what_is_downloaded_goes_without_credentials_to_our_own_names(hostile_run, tmp_path):
    service, _, files = await hostile_run()
    assert service.downloads
    for headers in service.downloads:
        assert not {"Authorization", "Cookie", "Referer"} & set(headers)
    (mesh,) = [path for path in files if path.suffix == ".glb"]
    assert mesh.relative_to(tmp_path / "out" / "meshes").as_posix() in {"chair/chair.glb", "lamp/lamp.glb"}
    assert files[mesh] == MESH
