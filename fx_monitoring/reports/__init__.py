"""The report service (`fx reports`): the kept HTML reports in a browser, and a new one on request.

library    which reports are kept, and finding one by its name
make       making the newest report of a kind, in a process of its own
perimeter  from which pages and under which names the service may be asked
app        the routes
server     listening, on this machine by default
"""
