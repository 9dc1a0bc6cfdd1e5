"""What is kept: call records, loaded tariffs, registrations, users, and what scripts want kept.

What must not be lost, call records, is in SQL: SQLite in the user's state folder by default; any
other SQLAlchemy URL takes the same path. What several processes share is in SQL or Redis, by one
interface with the memory of one process.
"""
