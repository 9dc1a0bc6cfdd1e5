"""What must not be lost: call records (and later charging and messages) in SQL.

SQLite in the user's state folder by default; any other SQLAlchemy URL takes the same path.
"""
