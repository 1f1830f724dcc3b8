"""A profile as one HTML page without any script or outside resource."""

import html

from hekla.llm.profile import STAGES, Profile, milliseconds, stage_rows

_COLOURS = {
    "queue": "#9ca3af",
    "prefill": "#f59e0b",
    "decode": "#2563eb",
    "sample": "#10b981",
    "detokenise": "#ef4444",
    "engine": "#8b5cf6",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#111;background:#fff}
table{border-collapse:collapse}
td,th{padding:.15rem .8rem;text-align:right}td:first-child,th:first-child{text-align:left}
i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.bars div{display:flex;height:1.1rem;align-items:center;font:12px ui-monospace,monospace;white-space:pre}
.bars b{height:.8rem;display:block}.bars span{width:13rem;overflow:hidden;flex:none}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}}
"""


def profile_page(found: Profile) -> str:
    """Return the page."""
    title = html.escape(f"{found.model} {found.quantisation}".strip())
    facts = (
        f"{found.prompt_tokens} prompt tokens ({found.cached_tokens} cached), {len(found.tokens)} answered; "
        f"first token after {milliseconds(found.first_token_s)}; {found.prefill_tokens_per_s:.0f} tokens/s of prompt, "
        f"{found.decode_tokens_per_s:.1f} tokens/s of answer; {html.escape(found.frequency.text())}"
    )
    warning = html.escape(found.frequency.warning)
    rows = "".join(
        f'<tr><td><i style="background:{_COLOURS[row[0]]}"></i>{row[0]}</td>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in stage_rows(found)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Profile of {title}</title><style>{_STYLE}</style><h1>{title}</h1><p>{facts}</p>"
        + (f"<p><strong>{warning}</strong></p>" if warning else "")
        + f"<table><tr><th>stage<th>total<th>share<th>median<th>slowest 5 %</tr>{rows}</table>"
        f'<h2>Token by token</h2><div class="bars">{_bars(found)}</div></html>\n'
    )


def _bars(found: Profile) -> str:
    later = max((token.total_s for token in found.tokens[1:]), default=0.0) or 1.0
    lines = []
    for number, token in enumerate(found.tokens):
        longest = (token.total_s or 1.0) if number == 0 else later
        parts = "".join(
            f'<b style="width:{50 * token.seconds(stage) / longest:.3f}rem;background:{_COLOURS[stage]}" '
            f'title="{stage} {milliseconds(token.seconds(stage))}"></b>'
            for stage in STAGES
            if token.seconds(stage)
        )
        label = html.escape(f"{number + 1:4d} {milliseconds(token.total_s):>9} {token.text!r}")
        lines.append(f"<div><span>{label}</span>{parts}</div>")
    return "\n".join(lines)
