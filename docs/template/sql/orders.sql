{{ sink(name="warehouse", table="orders") }}
SELECT * FROM {{ use_source("orders") }}
