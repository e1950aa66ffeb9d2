"""Texts that break a careless generator. Whoever adds one keeps it: each was or could be somebody's product."""

from __future__ import annotations

NAMES = [
    '"; DROP TABLE users; --${x}`</script>',
    "It's \"quoted\" 'twice'",
    "back`tick ${process.exit(1)}",
    "{{ 7 * 7 }} {% raw %} {# gone #}",
    "{% for x in range(9) %}{{ cycler.__init__ }}{% endfor %}",
    "*/ process.exit(1) /*",
    '""" + __import__("os").name + """',
    "<!-- --> <b>&amp;</b> -->",
    "back\\slash \\n \\u0041 \\",
    "line\nbreak\r\nand\ttab",
    "nul\x00 bell\x07 escape\x1b[31m delete\x7f",
    "next\x85line sep\u2028para\u2029graph\ufeff",
    "noncharacters \ufffe\uffff\U0001ffff private \ue000",
    "\u202etxt.exe\u202c and \u2066isolated\u2069",
    "שלום\u200f עולם \u200eabc",
    "Team 👩\u200d💻 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🎉",
    "日本語プラン",
    "«§¶»",
    "!!!",
    "???",
    "X" * 64,
    "Pro",
    "pro",
    "PRO!",
    "Pro 2",
    "class",
    "None",
    "import",
    "await",
    "constructor",
    "__proto__",
    "toString",
    "yes",
    "null",
    "2024 plan",
    "  spaces   around  ",
    "|table|cell| # heading",
    "[link](javascript:alert(1)) ![i](x) https://example.com",
    "- item",
    "1. item",
    "%s %(x)s {0} {x} $HOME $(id) `id`",
    "a=b; c: d # e",
    "@everyone &anchor *alias !!python/object",
]

DESCRIPTIONS = [
    None,
    "",
    "one line",
    "two\nlines, \"quotes\", 'apostrophes' and `ticks`",
    '*/ --> """ </script> ${x} {{ y }} {% z %} {# w #}',
    "ends in a backslash \\",
    "line sep\u2028 next\x85 nul\x00 rtl \u202ereversed\u202c mark \u200f",
    "# heading\n- item\n| cell |\n```\ncode\n```",
    "---\nyaml: [\n",
]

BENEFITS = ["Priority support", "priority-support", "🎁", "class", "{{ benefit }} */ `${x}`"]

METADATA = {
    "__proto__": "x",
    "constructor": 1,
    "plain": True,
    "odd key \"'`${x}": "</script>\u2028",
    "items": 2.5,
    "class": "",
    "{{ key }}": "{{ value }}",
}
