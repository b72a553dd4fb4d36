{% set x = 1 %}{{ sink("warehouse") }}
{% if x > 0 %}SELECT * FROM {{ use_source("cursor") }}{% else %}{% endif %}
{% for n in [1, 2, 3] %} UNION ALL SELECT {{ n }} FROM {{ use_source("cursor") }}{% endfor %}
{% macro m(a) %}{{ a | upper }}{% endmacro %}{{ m("b") }}{% raw %}{{{% endraw %}
