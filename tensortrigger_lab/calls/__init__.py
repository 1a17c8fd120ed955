"""The REST API as calls: what each verb asks and what it makes of the answer, written once for both clients."""
