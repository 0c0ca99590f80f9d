"""``python -m ml_release.serving``: the endpoint server as a process of its own.

Exit codes: 0 stopped as asked, 2 bad usage, settings or a taken port.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from ml_release.errors import DeclarationError, InputError
from ml_release.serving.server import serve
from ml_release.serving.structured_logs import start_logging
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.serving.server import Running


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ml_release.serving", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="an IP address")
    parser.add_argument("--port", type=int, help="0 takes any free one; default: ML_RELEASE_PORT")
    parser.add_argument("--environment", choices=("staging", "production"))
    parser.add_argument(
        "--insecure-behind-proxy",
        action="store_true",
        help="let other hosts reach the server without TLS; a proxy in front of it ends TLS",
    )
    options = parser.parse_args(arguments)
    try:
        settings = read_settings()
        if options.environment is not None:
            settings = dataclasses.replace(settings, environment=options.environment)
        start_logging(settings.endpoint.log_format)
        serve(
            settings,
            host=options.host,
            port=options.port,
            is_behind_proxy=options.insecure_behind_proxy,
            on_ready=_announce,
        )
    except (InputError, DeclarationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _announce(running: Running) -> None:
    lines = ", ".join(
        f"{name} version {state.route.champion.variant.version}"
        if state.route
        else f"{name} not loaded"
        for name, state in sorted(running.endpoint.table().lines.items())
    )
    environment = running.endpoint.environment
    sys.stdout.write(f"ml_release serves {environment} at {running.url}: {lines or 'no line'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
