"""Shows that the numbers are exact, with real processes: docs/exactness.md says what and how.

stage.py       the processes: Postgres database, Redis, web, worker, beat, and a provider that keeps a journal
provider.py    that provider
cast.py        tenants, users and keys, made in a process with Django
callers.py     clients, some of whom hang up
books.py       what Redis, Postgres and the journal say, read from outside
report.py      what a case shows
cases/         one module for each claim
"""
