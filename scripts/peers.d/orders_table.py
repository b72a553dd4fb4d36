"""The table of the workload `orders`, with the columns and types that the suite gives it.

As a program it prints the statement that makes the table.
"""

COLUMNS = {
    "id": "bigint",
    "number": "text",
    "customer": "text",
    "email": "text",
    "status": "text",
    "quantity": "bigint",
    "price": "double precision",
    "discount": "double precision",
    "paid": "boolean",
    "created_at": "timestamp with time zone",
    "note": "text",
    "shippingAddress": "jsonb",
    "tags": "jsonb",
}


def create_table_sql(table):
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    return f"CREATE TABLE {table} ({columns})"


def names_of(kind):
    return [name for name, has in COLUMNS.items() if has == kind]


if __name__ == "__main__":
    print(create_table_sql("orders"))
