"""Draws charts in a process of its own: specifications as JSON in, SVG as JSON out.

The renderer is native code, which ends its whole process where it finds a fault in itself. So it
is run as a script, apart from whoever wants the charts.
"""

import json
import sys
from typing import Any


def _drawn(spec: dict[str, Any]) -> str | None:
    import vl_convert

    try:
        return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    except ValueError:
        return None


if __name__ == "__main__":
    json.dump([_drawn(spec) for spec in json.load(sys.stdin)], sys.stdout)
