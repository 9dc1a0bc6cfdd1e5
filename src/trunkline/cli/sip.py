"""``trunkline sip``: SIP proxies that are up, and where SIP messages go.

``locate`` decides where a request would go (RFC 3263) and prints the record of that decision; the
other commands have rooms of their own.
"""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from trunkline.cli import destinations, proxy, trace
from trunkline.cli.output import JsonOption, console, error_console, grid, print_json, print_table
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.net.dns import Resolver, ServerCheck
    from trunkline.sip.locate import Decision
    from trunkline.sip.locate.report import Line
    from trunkline.sip.transport import Transport
    from trunkline.sip.uri import Uri

__all__ = ["app"]

app = typer.Typer(
    name="sip",
    help="Watch SIP proxies and steer them; see where SIP messages go, and why.",
    no_args_is_help=True,
)


app.command("status")(proxy.status)
app.command("trace", epilog=trace.EXAMPLES)(trace.trace)
app.command("browse")(trace.browse)
app.command("capture")(trace.capture)
app.command("reload")(proxy.reload)
app.command("destinations")(destinations.destinations)
app.command("drain")(destinations.drain)
app.command("undrain")(destinations.undrain)


@app.command(
    epilog="""\b
Examples:
  trunkline sip locate sip:scscf.ims.example          NAPTR, SRV and the weights
  trunkline sip locate sip:scscf.ims.example:5060     the port: addresses only
  trunkline sip locate --server 192.0.2.53 sips:ims.example
"""
)
def locate(
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", help="A sip or sips URI; a host alone means sip:HOST."),
    ],
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            "-s",
            metavar="IP[:PORT]",
            help="Ask this name server, not those of /etc/resolv.conf. May be repeated.",
        ),
    ] = None,
    transport: Annotated[
        list[str] | None,
        typer.Option(
            "--transport",
            "-t",
            metavar="NAME",
            help="What the sender has: udp, tcp, tls, ws, wss. May be repeated, the preferred one "
            "first. Default: udp, tcp and tls.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a request to URI would go: every question, answer and draw, by RFC 3263.

    Nothing is sent to the SIP servers. Exit code 0: there is somebody to send to; 1: nobody.
    """
    from trunkline.net.dns import Resolver, ResolverSettings

    wanted = _uri(uri)
    transports = tuple(dict.fromkeys(_transport(name) for name in transport or _DEFAULT))
    resolver = Resolver(ResolverSettings(servers=tuple(server or ()), servers_source="--server"))
    decision, checks = asyncio.run(_locate(wanted, transports, resolver))
    if as_json:
        from trunkline.sip.locate.report import as_json as record

        print_json({"uri": str(wanted), **record(decision), "servers": _servers_json(resolver)})
    else:
        _print_tree(wanted, decision)
        _print_servers(resolver)
        _print_hints(wanted, decision)
    for check in checks:
        if check.problem is not None:
            error_console().print(f"trunkline: {check.problem}")
    raise typer.Exit(0 if decision.order else 1)


_DEFAULT = ("udp", "tcp", "tls")
_PATIENCE = 2.0  # seconds, after which a person wants to know what is going on


def _uri(text: str) -> Uri:
    from trunkline.sip.uri import Uri

    scheme = text.partition(":")[0].lower()
    if scheme in ("sip", "sips"):
        return Uri.parse(text)
    if scheme in ("tel", "urn", "im", "pres", "mailto", "http", "https"):
        raise TrunklineError(
            "locate.scheme",
            f"{text}: a {scheme} URI names no SIP server; give a sip or sips URI, or a host",
        )
    # RFC 3263 section 4: "a temporary URI [...] of the form sip:<proxy>"
    return Uri.parse(f"sip:{text}")


def _transport(name: str) -> Transport:
    from trunkline.sip.transport import Transport

    try:
        return Transport(name.upper())
    except ValueError:
        raise TrunklineError(
            "locate.transport", f"--transport {name}: give udp, tcp, tls, ws or wss"
        ) from None


async def _locate(
    uri: Uri, transports: tuple[Transport, ...], resolver: Resolver
) -> tuple[Decision, list[ServerCheck]]:
    """The decision and, where DNS failed it, how each server does."""
    from trunkline.net.dns import Locator
    from trunkline.sip.locate import Rules

    locator = Locator(resolver, Rules(transports=transports))
    patience = asyncio.get_running_loop().call_later(_PATIENCE, _say_who_is_awaited, resolver)
    found = await locator.locate(uri)
    failed = found.problem is not None and found.problem.code == "locate.dns"
    checks = await resolver.probe() if failed else []
    patience.cancel()
    await locator.close()
    await resolver.close()
    return found.decision(locator.now()), checks


def _say_who_is_awaited(resolver: Resolver) -> None:
    target = error_console()
    if target.is_terminal:
        target.print(f"Waiting for {', '.join(map(str, resolver.servers))} ...", style="dim")


# --- for people


def _print_tree(uri: Uri, decision: Decision) -> None:
    from trunkline.sip.locate.report import outline

    tree = Tree(Text(str(uri), style="bold"), guide_style="dim")
    _grow(tree, outline(decision))
    print_table(console(), tree)


def _grow(tree: Tree, lines: Iterable[Line]) -> None:
    for line in lines:
        passed_over = line.text.startswith("- ")
        text = Text(line.text, style="dim" if passed_over else "")
        if line.note:
            text.append(f"  {line.note}", style="dim")
        _grow(tree.add(text), line.under)


def _print_servers(resolver: Resolver) -> None:
    console().print()
    if not resolver.counters.asked:
        console().print("No name server had to be asked.")
        return
    rows = grid("Name server", "Named by", "Queries", "Answers")
    for state in resolver.states:
        rows.add_row(str(state.server), state.server.source, str(state.sent), str(state.answered))
    print_table(console(), rows)


def _print_hints(uri: Uri, decision: Decision) -> None:
    from trunkline.sip.locate.decision import Reason

    if any(step.reason is Reason.PORT_SERVER for step in decision.steps):
        console().print()
        console().print(
            f"The port sends all to the addresses of {decision.target.host}. Without it, SRV "
            f"records choose:\n  trunkline sip locate {shlex.quote(str(uri.evolve(port=None)))}"
        )


def _servers_json(resolver: Resolver) -> list[dict[str, object]]:
    return [
        {
            "server": str(state.server),
            "source": state.server.source,
            "queries": state.sent,
            "answers": state.answered,
            "silent": state.silent,
            "refused": state.refused,
        }
        for state in resolver.states
    ]
