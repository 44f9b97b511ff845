"""Propose: what ``mvmesh init`` reads of a folder tree before it writes a manifest."""

import os
from pathlib import Path

from pipeline.domain.proposal import Parts, Proposal, propose_manifest
from pipeline.ports.folders import Glob, matching_folders


def propose(root: Path, manifest_path: Path) -> Proposal:
    """A manifest for the image sets below ``root``, to be written to ``manifest_path``; nothing is written here.

    Raises:
        UsageError: more folders than a manifest may name.
    """
    root = Path(os.path.normpath(root.absolute()))
    tree: dict[Parts, tuple[tuple[str, ...], bool]] = {
        listing.parts: (listing.pictures, bool(listing.folders))
        for listing in matching_folders(Glob(fixed=root, parts=("**",)))
        if not listing.error
    }
    return propose_manifest(tree, root=root, manifest=Path(os.path.normpath(manifest_path.absolute())))
