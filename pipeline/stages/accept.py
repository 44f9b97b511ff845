"""Accept: the downloaded mesh is read and judged against what was asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.domain.items import MeshFacts, Verdict
from pipeline.domain.model import wants_pbr, wants_texture
from pipeline.ports.interfaces import Storage
from pipeline.ports.wholeness import mesh_facts

FACE_COUNT_SLACK = 1.1
"""A mesh may have so many times the faces that were asked for."""


async def accept(
    mesh: Path, *, facts: MeshFacts | None, params: Mapping[str, Any], on_low: str, storage: Storage
) -> Verdict:
    """Read the GLB's structure and compare it with the parameters.

    Args:
        mesh: the downloaded file.
        facts: what it says of itself, where it has been read already: it is not read again.
        params: what was asked for.
        on_low: ``hold`` a mesh that falls short, ``warn``, or ``skip`` all but the container's integrity.
        storage: reads the file.

    Raises:
        MeshDamaged: no whole, readable GLB.
    """
    facts = facts or await mesh_facts(mesh, storage)
    reasons = () if on_low == "skip" else shortfalls(facts, params)
    return Verdict(outcome="held" if reasons and on_low == "hold" else "accepted", reasons=reasons, facts=facts)


def shortfalls(facts: MeshFacts, params: Mapping[str, Any]) -> tuple[str, ...]:
    """What the mesh lacks, or has too much of, a sentence each."""
    found = []
    asked = params.get("faceCount")
    if asked and facts.face_count > asked * FACE_COUNT_SLACK:
        found.append(f"{facts.face_count:,} faces, asked for {asked:,}")
    if wants_texture(params) and not facts.texture_count:
        found.append("no texture, asked for a textured mesh")
    if wants_texture(params) and facts.texture_count and not facts.has_uvs:
        found.append("textures, but no texture coordinates")
    if wants_pbr(params) and not facts.has_pbr:
        found.append("no metallic-roughness texture, asked for PBR")
    if not wants_texture(params) and facts.texture_count:
        found.append("textures, asked for geometry alone")
    return tuple(found)
