"""The ledger: accounts, every movement of their balances, sessions, records and scheduled tasks.

What must not be lost or doubled is here, in one SQL database: SQLite, PostgreSQL or MariaDB. A
change of it counts as a whole or not at all, and whoever made it is answered when it is on disk.

- `model`: what is kept, and a change of it
- `book`: the door, :class:`~trunkline.store.ledger.book.Book`
- `settle`: a batch of changes, one after the other, to rows
- `writer`: group commit; `sqlite`, `postgres` and `mariadb`: its statements
- `schema`, `reader`, `audit`: the tables, queries, and whether all adds up
"""
