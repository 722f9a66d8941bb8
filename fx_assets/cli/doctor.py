"""fx doctor: whether this machine and configuration can run the platform; each problem with its remedy."""

from __future__ import annotations

import typer

from fx_assets.cli.common import Home, use_home


def doctor(home: Home = None) -> None:
    """Check Python, packages, configuration, disk, memory and ports. Exit code 1 when something must be mended.

    Ports that this home's own running services hold are well.
    """
    from rich.console import Console
    from rich.text import Text

    from fx_assets.stack.examine import examine

    console = Console()
    findings = list(examine(use_home(home)))
    for good, what, remedy in findings:
        verdict = Text("ok ", "green") if good else Text("bad", "red")
        # Text, not markup: an error's words may hold brackets. No wrapping: they may be searched for.
        console.print(verdict, Text(f" {what}" if good else f" {what}\n     {remedy}"), soft_wrap=True)
    bad = sum(not good for good, _, _ in findings)
    console.print("everything is well" if not bad else f"{bad} to mend")
    if bad:
        raise typer.Exit(1)
