{{ sink(name="server", table="orders") }}
SELECT * FROM {{ use_source("orders") }}
