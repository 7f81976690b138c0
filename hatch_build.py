"""What the wheel carries besides the package: the pages, which lie at the top of a checkout.

An editable install gets none of it: a checkout serves its templates/ and static/ from
where they lie, so that an edited page shows at the next reload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface[Any]):
    """Puts templates/ and static/ into the wheel: the files that `make dist` builds, else the modules as they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages' folders to a real wheel."""
        if version == "editable":
            return
        root = Path(self.root)
        built = root / "static" / "built"
        build_data["force_include"][str(root / "templates")] = "livetask/templates"
        build_data["force_include"][str(built if built.is_dir() else root / "static")] = "livetask/static"
