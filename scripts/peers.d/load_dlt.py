"""load_dlt.py csv|parquet: dlt's REST source into its `postgres` destination.

Settings are those that dlt's documentation gives for speed ("Optimizing dlt", "Postgres"): files of CSV, which are
loaded by COPY, or of Parquet, which are loaded by ADBC; a normalizer on every processor, with several files so that
each has work; no compression of the files in between. Nested values stay in one column, with the names of the API.
"""

import os
import sys
import tempfile
from urllib.parse import urlsplit

(file_format,) = sys.argv[1:]
WORKERS = os.cpu_count() or 1
FILE_ROWS = 50_000

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "SCHEMA__NAMING": "direct",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": str(FILE_ROWS),
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": str(WORKERS),
    "LOAD__WORKERS": str(WORKERS),
}

import dlt  # noqa: E402 (reads its configuration from the environment)
from dlt.sources.rest_api import rest_api_source  # noqa: E402
from orders_table import COLUMNS  # noqa: E402

DLT_TYPES = {
    "bigint": "bigint",
    "text": "text",
    "double precision": "double",
    "boolean": "bool",
    "timestamp with time zone": "timestamp",
    "jsonb": "json",
}


def main():
    url = urlsplit(os.environ["APITAP_API_URL"])
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url.scheme}://{url.netloc}",
                "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None},
            },
            "resources": [
                {
                    "name": os.environ["APITAP_TABLE"],
                    "endpoint": {
                        "path": url.path,
                        "params": {"per_page": int(os.environ["APITAP_PAGE_ROWS"])},
                        "data_selector": "$",
                    },
                    "columns": {name: {"data_type": DLT_TYPES[kind]} for name, kind in COLUMNS.items()},
                    "max_table_nesting": 0,
                    "write_disposition": "append",
                }
            ],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "peers",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(os.environ["APITAP_DATABASE_URL"]),
            dataset_name="public",
        )
        pipeline.run(source, loader_file_format=file_format).raise_on_failed_jobs()


# Normalizers are processes that import this file.
if __name__ == "__main__":
    main()
