"""Drawing where hot and cold keys live: a grid of nodes by hotness levels, in plain ASCII."""

LEVELS = 8
SHADES = " .:-=+*#%@"  # by powers of four: the eye reads orders of magnitude
CELL = 9


def grid(rows):
    """NUMA HEATMAP's rows [node, level, keys, bytes] as node -> keys by level."""
    nodes = {}
    for node, level, keys, *_ in rows:
        nodes.setdefault(node, [0] * LEVELS)[level] += keys
    return dict(sorted(nodes.items()))


def shade(keys):
    step = 0
    while keys and step < len(SHADES) - 1:
        step, keys = step + 1, keys // 4
    return SHADES[step]


def bar(part, width=40):
    filled = round(max(0.0, min(1.0, part)) * width)
    return "#" * filled + "." * (width - filled)


def cell(keys):
    return f"{shade(keys) * 2:2}{keys:>{CELL - 3}} "


def screen(nodes, names, second, facts):
    """The whole screen of one second, as lines."""
    lines = [f"redis-numa demo, second {second}: {facts['done']:,} of {facts['requests']:,} requests", ""]
    lines.append(f"{'keys by hotness level':24}" + "".join(f"{level:>{CELL - 1}} " for level in range(LEVELS)))
    for node, counts in nodes.items():
        title = f"node {node} ({names.get(node, '?')})"
        lines.append(f"{title:24}" + "".join(cell(keys) for keys in counts))
    lines += ["", f"near hits this second  {facts['share']:6.1%}  [{bar(facts['share'])}]"]
    lines.append(f"best static placement  {facts['static']:6.1%}  [{bar(facts['static'])}]")
    lines.append(f"moves this second      {facts['moves']:6,}  (all: {facts['all_moves']:,})")
    return lines


def line(nodes, names, second, facts):
    """The same in one line, where no terminal draws."""
    levels = "  ".join(
        f"{names.get(node, node)} by level: {' '.join(map(str, counts))}" for node, counts in nodes.items()
    )
    return f"{second:4} s  near hits {facts['share']:6.1%}  moves {facts['moves']:6}  {levels}"
