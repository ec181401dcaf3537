"""Measures the hot path, beside other gateways if asked: docs/benchmarks.md says what and how, and shows the figures.

upstream.py   a provider that is never the bottleneck
stage.py      our gateway as in production: Postgres database, Redis, web, worker, beat
cast.py       its tenants, keys and chains, made in a process with Django
peers.py      what it is compared with: the provider alone, nginx, other gateways
processes.py  the processes of a server: where they run, what CPU and memory they use
load.py       wrk, and clients that read streams and check every word
cases.py      what is measured
table.py      medians, spread and ratios; as Markdown and JSON
plot.py       the same as pictures
drain.py      how fast the worker turns usage events into rows
"""
