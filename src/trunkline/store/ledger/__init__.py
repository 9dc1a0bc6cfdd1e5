"""The ledger: accounts, every movement of their balances, sessions, records and scheduled tasks.

What must not be lost or doubled is here, in one database: SQLite, PostgreSQL, MariaDB or Redis. A
change of it counts as a whole or not at all, and whoever made it is answered when it is on disk.

- `model`: what is kept, and a change of it
- `book`: the door, :class:`~trunkline.store.ledger.book.Book`
- `settle`: a batch of changes, one after the other, to rows
- `writer`: group commit; `sqlite`, `postgres`, `mariadb` and `redis`: its statements
- `schema`, `reader`, `audit`, `snapshot`: the tables, queries, and whether all adds up
- `lua`, `redis_reader`: the same of Redis
"""
