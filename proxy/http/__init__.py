"""HTTP for the hot routes: REST framework views without the thread hops of Django's stock ASGI handler."""
