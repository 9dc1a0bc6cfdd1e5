"""The charging node: the methods of CGRateS's API, and the process that answers them.

A room adds methods by a class::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class AttrGetAccount:                 # named as the reference's, for its error messages
        tenant: str = "cgrates.org"       # "Tenant" on the wire; every field has a default
        account: str = ""

    class Accounts:
        @method("APIerSv2.GetAccount", mandatory=("Account",))
        async def get_account(self, args: AttrGetAccount) -> Json:
            ...                           # raise ApiError("NOT_FOUND") for the reference's words

and names the class in `process`. `arguments` turns JSON into such a dataclass as Go would,
`registry` finds the method and writes its result or the reference's error. They are all listed in
``docs/charging-api.md``, by ``python tools/charging_api.py`` from the code and the tests.
"""
