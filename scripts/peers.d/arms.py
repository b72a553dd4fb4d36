"""What is measured: how each arm loads the API into `SCHEMA.orders`, and what is known to differ."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from orders_table import create_table_sql

FOLDER = Path(__file__).parent


@dataclass
class Arm:
    """One way to load the rows, as a command that runs from its start to its end."""

    name: str
    what: str
    command: list
    # Statements that are run before the clock starts.
    before: list = field(default_factory=list)
    # It has one form for NULL and for the empty text.
    empty_is_null: bool = False

    @property
    def schema(self):
        return f"peers_{self.name.replace('-', '_')}"


# In the order of the table. The last two are what the others are compared with.
NAMES = ["dlt", "dlt-parquet", "faucet", "pandas-multi", "pandas-copy", "psycopg", "apitap", "psql"]


def make_arms(names, url, reference_file, apitap, faucet, folder):
    """The arms of these names; their files go into `folder`."""
    makers = {
        "dlt": lambda: loader(
            "dlt", "dlt: REST source, CSV files by COPY", "load_dlt.py", "csv", url, empty_is_null=True
        ),
        "dlt-parquet": lambda: loader(
            "dlt-parquet", "dlt: REST source, Parquet files by ADBC", "load_dlt.py", "parquet", url
        ),
        "faucet": lambda: faucet_arm(faucet, url, folder),
        "pandas-multi": lambda: loader(
            "pandas-multi", "pandas: to_sql, method multi", "load_pandas.py", "multi", url
        ),
        "pandas-copy": lambda: loader(
            "pandas-copy",
            "pandas: to_sql, its callable for COPY",
            "load_pandas.py",
            "copy",
            url,
            empty_is_null=True,
        ),
        "psycopg": lambda: loader("psycopg", "psycopg 3: COPY row by row", "load_psycopg.py", url),
        "apitap": lambda: apitap_arm(apitap, url, folder),
        "psql": lambda: psql_arm(reference_file),
    }
    return [makers[name]() for name in NAMES if name in names]


def loader(name, what, script, *arguments, **more):
    arm = Arm(name, what, [], **more)
    # No byte code beside the sources: the checkout stays as it is.
    arm.command = [sys.executable, "-B", str(FOLDER / script), *arguments, arm.schema]
    return arm


def psql_arm(reference_file):
    arm = Arm("psql", "psql: \\copy of a ready-made binary file, no API", [])
    table = f"{arm.schema}.orders"
    copy = f"\\copy {table} FROM '{reference_file}' WITH (FORMAT binary)"
    arm.command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", create_table_sql(table), "-c", copy]
    return arm


def apitap_arm(program, url, folder):
    arm = Arm("apitap", "apitap: preset tuned, binary COPY", [])
    modules = folder / "modules"
    modules.mkdir()
    (modules / "orders.sql").write_text(
        f'{{{{ sink(name="server", table="{arm.schema}.orders") }}}}\nSELECT * FROM {{{{ use_source("orders") }}}}\n'
    )
    pipelines = folder / "pipelines.yaml"
    pipelines.write_text(
        f"""\
sources:
  - name: orders
    url: {url}
    pagination: {{ kind: page_number, page_param: page, per_page_param: per_page }}
targets:
  - name: server
    type: postgres
    host: "{os.environ["PGHOST"]}"
    port: {os.environ["PGPORT"]}
    database: {os.environ["PGDATABASE"]}
    auth: {{ username_env: PGUSER, password_env: PGPASSWORD }}
"""
    )
    arm.command = [program, "--preset", "tuned", "-m", str(modules), "-y", str(pipelines)]
    return arm


def faucet_arm(program, url, folder):
    """Its documentation names `write_method: copy` as the fast way into a table that exists, typed by `auto_map`."""
    arm = Arm("faucet", "faucet-cli: REST source, sink by COPY", [])
    arm.before = [create_table_sql(f"{arm.schema}.orders")]
    base, _, path = url.rpartition("/")
    pipeline = folder / "faucet.yaml"
    pipeline.write_text(
        f"""\
version: 1
name: orders
pipeline:
  source:
    type: rest
    config:
      base_url: {base}
      path: /{path}
      pagination:
        type: PageNumber
        param_name: page
        start_page: 1
        page_size: 1000
        page_size_param: per_page
  sink:
    type: postgres
    config:
      connection_url: ${{env:APITAP_TEST_DATABASE_URL}}
      schema: {arm.schema}
      table_name: orders
      column_mapping: auto_map
      write_method: copy
      batch_size: 0
"""
    )
    arm.command = [program, "run", str(pipeline)]
    return arm
