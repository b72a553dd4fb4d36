"""load_psycopg.py: psycopg 3, `COPY ... FROM STDIN` row by row.

psycopg's documentation names COPY as its fastest way in, and `write_row` for rows of Python objects. The table is made
in the same transaction.
"""

import os

import orjson
import psycopg
from orders_table import COLUMNS, create_table_sql
from pages import pages

table = os.environ["APITAP_TABLE"]


def as_json(value):
    return None if value is None else orjson.dumps(value).decode()


columns = [(name, as_json if kind == "jsonb" else None) for name, kind in COLUMNS.items()]
quoted = ", ".join(f'"{name}"' for name in COLUMNS)

with psycopg.connect() as connection, connection.cursor() as cursor:
    cursor.execute(create_table_sql(table))
    with cursor.copy(f"COPY {table} ({quoted}) FROM STDIN") as copy:
        for page in pages():
            for row in page:
                copy.write_row([change(row.get(name)) if change else row.get(name) for name, change in columns])
