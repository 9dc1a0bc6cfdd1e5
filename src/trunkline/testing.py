"""All that the tests of a routing script import: ``from trunkline.testing import Harness``."""

from trunkline.elements.proxy.harness import Harness, Incoming, Sent

__all__ = ["Harness", "Incoming", "Sent"]
