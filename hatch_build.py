"""What the wheel carries besides the package: the pages, which lie at the top of a checkout.

An editable install gets none of it: a checkout serves its templates/ and static/ from
where they lie, so that an edited page shows at the next reload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface[Any]):
    """Puts templates/ and static/, with the modules in static/vendor, into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages' folders to a real wheel; raise when static/vendor was never filled."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / "static" / "vendor").is_dir():
            raise FileNotFoundError("static/vendor is missing: `make dist` fills it and builds the wheel")
        built = root / "static" / "built"
        build_data["force_include"][str(root / "templates")] = "livetask/templates"
        build_data["force_include"][str(built if built.is_dir() else root / "static")] = "livetask/static"
