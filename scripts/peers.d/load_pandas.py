"""load_pandas.py multi|copy: pandas' `to_sql` over SQLAlchemy and psycopg2.

`multi` is `method="multi"`. `copy` is the callable that the documentation of pandas gives for PostgreSQL (user guide,
"Insertion method"): CSV in memory, then COPY. CSV as Python writes it has one form for NULL and for the empty text.
"""

import csv
import io
import os
import sys

import orjson
import pandas
import sqlalchemy
from orders_table import names_of
from pages import pages
from sqlalchemy.dialects.postgresql import JSONB

(method,) = sys.argv[1:]


def insert_by_copy(table, connection, keys, rows):
    with connection.connection.cursor() as cursor:
        buffer = io.StringIO()
        csv.writer(buffer).writerows(rows)
        buffer.seek(0)
        columns = ", ".join(f'"{key}"' for key in keys)
        cursor.copy_expert(sql=f"COPY {table.name} ({columns}) FROM STDIN WITH CSV", file=buffer)


frame = pandas.DataFrame.from_records([row for page in pages() for row in page])
for name in names_of("timestamp with time zone"):
    frame[name] = pandas.to_datetime(frame[name], utc=True)
if method == "copy":
    for name in names_of("jsonb"):
        frame[name] = [orjson.dumps(value).decode() for value in frame[name]]

engine = sqlalchemy.create_engine(
    "postgresql+psycopg2://", json_serializer=lambda value: orjson.dumps(value).decode()
)
frame.to_sql(
    os.environ["APITAP_TABLE"],
    engine,
    if_exists="append",
    index=False,
    dtype={name: JSONB for name in names_of("jsonb")},
    method=insert_by_copy if method == "copy" else "multi",
    # 13,000 parameters of the 65,535 that a statement may have.
    chunksize=10_000 if method == "copy" else 1_000,
)
