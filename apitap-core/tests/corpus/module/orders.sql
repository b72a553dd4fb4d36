{{ sink(name="warehouse", table="public.t", mode="merge", key=["a", "b"]) }}
{{ schedule("0 */5 * * * *") }}
SELECT o.id, o."größe" FROM {{ use_source("orders") }} o
JOIN {{ use_source('größe') }} g ON g.id = o.id -- {# a comment #}
WHERE o.name LIKE '%{{ "{{" }}%'
