"""What subscribers of a node hear, by topic."""

from __future__ import annotations

import asyncio

from tests.elements.clock import run
from tests.elements.support import Client, bare, running


def test_each_topic_carries_its_own_events_and_nothing_else() -> None:
    async def main() -> None:
        async with running() as lab:
            clients = {
                topic: await Client.to(lab["ExchangeA"]) for topic in ("log", "link", "call")
            }
            for topic, client in clients.items():
                assert (await client.call("subscribe", topics=[topic]))["version"] == 1
            call = await lab.call(
                "ExchangeA", "calls.originate", calling="3005", called="61412345678", hold=1
            )
            for state in ("setup", "alerting", "answered", "ended"):
                event = await clients["call"].event()
                assert event.pop("time") > 0
                assert event == {
                    "node": "ExchangeA",
                    "kind": "call",
                    "id": call["id"],
                    "trace": call["id"],
                    "state": state,
                }
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 linkset ToExchangeA", "shutdown")
            event = await clients["link"].event()
            assert (event["kind"], event["linkset"], event["slc"]) == ("link", "ToCountryA", 0)
            assert event["state"] == "failed"
            assert event["reason"]
            event = await clients["log"].event()
            assert bare(event["line"]).startswith("%CS7MTP3-5-LINKSTATUS: Link 0 of linkset ToC")
            for client in clients.values():
                await client.close()
            await asyncio.sleep(0.1)
            assert not any(lab["ExchangeA"].server.wanted(topic) for topic in clients)

    run(main())


def test_a_subscriber_of_nothing_hears_nothing() -> None:
    async def main() -> None:
        async with running() as lab:
            client = await Client.to(lab["ExchangeA"])
            await client.call("subscribe", topics=[])
            await client.call("subscribe", topics=["weather"])
            await lab.call("ExchangeA", "calls.originate", calling="3005", called="61299995678")
            await asyncio.sleep(10)
            await client.call("node.status")
            assert client.events == []
            await client.close()

    run(main())
