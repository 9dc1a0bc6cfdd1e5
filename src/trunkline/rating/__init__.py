"""Rating: what a call, a message or a data session costs, exactly, and why."""
