"""The API's pages for loaders that bring no client of their own."""

import orjson
import requests


def pages(url):
    """Pages of 1,000 rows, in order over one connection, until an empty one."""
    with requests.Session() as session:
        page = 1
        while True:
            answer = session.get(url, params={"page": page, "per_page": 1000})
            answer.raise_for_status()
            rows = orjson.loads(answer.content)
            if not rows:
                return
            yield rows
            page += 1
