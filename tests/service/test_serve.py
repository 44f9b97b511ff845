"""Starting, embedding and stopping the service in this process."""

import base64
import sys

import httpx
import pytest

from pipeline.domain.errors import LockHeld, UsageError
from pipeline.service.serve import ServiceOptions, forget_assets, local_service

pytestmark = pytest.mark.anyio
AUTH = ("key", "secret")


async def uploaded(url: str, data: bytes) -> dict[str, str]:
    async with httpx.AsyncClient(auth=AUTH, verify=False) as client:
        body = {"name": "front.png", "image": base64.b64encode(data).decode()}
        return (await client.post(f"{url}/assets", json=body)).raise_for_status().json()["asset"]


async def test_it_serves_within_its_scope_only(tmp_path) -> None:
    async with local_service(tmp_path, credentials=AUTH) as url, httpx.AsyncClient(auth=AUTH, verify=False) as client:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        assert (await client.get(f"{url}/jobs")).json() == {"jobs": []}
    async with httpx.AsyncClient(auth=AUTH, verify=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/jobs")


async def test_errors_within_its_scope_come_out_as_themselves(tmp_path) -> None:
    with pytest.raises(UsageError, match="mine"):
        async with local_service(tmp_path, credentials=AUTH):
            raise UsageError("mine")


async def test_a_data_folder_has_one_service(tmp_path) -> None:
    async with local_service(tmp_path, credentials=AUTH):
        with pytest.raises(LockHeld, match="another service"):
            async with local_service(tmp_path, credentials=AUTH):
                pass


async def test_a_taken_port_is_told(tmp_path) -> None:
    async with local_service(tmp_path / "a", credentials=AUTH) as url:
        port = httpx.URL(url).port
        assert port
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            async with local_service(tmp_path / "b", credentials=AUTH, port=port):
                pass
        assert "another port" in caught.value.mend


async def test_delivered_assets_can_be_forgotten(tmp_path, picture) -> None:
    async with local_service(tmp_path, credentials=AUTH) as url:
        kept, gone = await uploaded(url, picture()), await uploaded(url, picture())
    await forget_assets(tmp_path, [gone["id"], "asset_unknown"])
    assert [file.name for file in (tmp_path / "assets").iterdir()] == [kept["id"]]
    async with local_service(tmp_path, credentials=AUTH) as url, httpx.AsyncClient(auth=AUTH, verify=False) as client:
        assert (await client.get(f"{url}/assets/{gone['id']}")).status_code == 404
        assert (await client.get(f"{url}/assets/{kept['id']}")).is_success


async def test_what_a_crash_left_is_swept(tmp_path, picture) -> None:
    async with local_service(tmp_path, credentials=AUTH) as url:
        kept = await uploaded(url, picture())
    for leftover in ("assets/asset_orphan", "work/job_dead/mesh", "uploads/upload_dead/1"):
        (tmp_path / leftover).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / leftover).write_bytes(b"x")
    async with local_service(tmp_path, credentials=AUTH):
        pass
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    own = {"lock", *(f"service.sqlite3{side}" for side in ("", "-wal", "-shm", "-count"))}
    assert files - own == {f"assets/{kept['id']}"}


async def test_without_the_engine_it_does_not_start(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)  # as if it were not installed
    with pytest.raises(UsageError, match="numba missing") as caught:
        async with local_service(tmp_path, credentials=AUTH):
            pass
    assert "mvmesh[engine]" in caught.value.mend


async def test_workers_share_the_processors() -> None:
    assert ServiceOptions(workers=3).job_ceiling == 6
    assert ServiceOptions(workers=3, ceiling=10).job_ceiling == 10
    assert ServiceOptions(workers=1000).threads_per_worker == 1
