"""The API's pages for loaders that bring no client of their own."""

import os

import orjson
import requests

URL = os.environ["APITAP_API_URL"]
PAGE_ROWS = int(os.environ["APITAP_PAGE_ROWS"])


def pages():
    """Pages in order over one connection, until an empty one."""
    with requests.Session() as session:
        page = 1
        while True:
            answer = session.get(URL, params={"page": page, "per_page": PAGE_ROWS})
            answer.raise_for_status()
            rows = orjson.loads(answer.content)
            if not rows:
                return
            yield rows
            page += 1
