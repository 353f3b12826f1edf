"""RETAIN: what must stay stays, what may go goes, and either is stated before it is done."""
