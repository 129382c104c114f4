# SPDX-License-Identifier: MIT OR Apache-2.0
"""Diagrams of what `make bench` counted, as SVG."""
from . import env

WIDTH, HEIGHT, LEFT, TOP, GAP = 260, 200, 60, 40, 80
# Pixels between two labels below a diagram.
APART = 16


def _diagram(index, title, series, colours):
    """Return the SVG of one diagram; `series` has (x, y) by name."""
    x0, y0 = LEFT + index * (WIDTH + GAP), TOP
    most_x = max(x for values in series.values() for x, _ in values)
    most_y = max(y for values in series.values() for _, y in values) * 1.08

    def at(x, y):
        return f"{x0 + WIDTH * x / most_x:.1f},{y0 + HEIGHT - HEIGHT * y / most_y:.1f}"

    out = [f'<rect x="{x0}" y="{y0}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>']
    out.append(f'<text x="{x0 + WIDTH / 2}" y="{y0 + HEIGHT + 34}" text-anchor="middle">{title}</text>')
    right = -APART
    for x in sorted({x for values in series.values() for x, _ in values}):
        along = WIDTH * x / most_x
        if along - right >= APART:
            out.append(f'<text x="{x0 + along:.1f}" y="{y0 + HEIGHT + 16}" text-anchor="middle" font-size="9">{x}</text>')
            right = along
    for part in range(5):
        down = y0 + HEIGHT - HEIGHT * part / 4
        out.append(f'<text x="{x0 - 6}" y="{down + 3:.1f}" text-anchor="end" font-size="9">{most_y * part / 4000:.1f}k</text>')
    for name, values in series.items():
        line = " ".join(at(x, y) for x, y in values)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        for x, y in values:
            cx, cy = at(x, y).split(",")
            out.append(f'<circle cx="{cx}" cy="{cy}" r="2.5" fill="{colours[name]}"><title>{name}, {x}: {y}</title></circle>')
    return "\n".join(out)


def draw(tool, file, colours, diagrams):
    """Write docs/`file`. `colours`: by name of a series, in the order of the legend; `diagrams`: title, and for each
    series the x of its points and the operations of target/bench.tsv whose own instructions are their y."""
    rows = [line.split("\t") for line in (env.TARGET / "bench.tsv").read_text().splitlines()[1:]]
    own = {row[0]: int(row[3]) for row in rows if row[3] != "-"}
    body = "\n".join(
        _diagram(i, title, {name: [(x, own[row]) for x, row in points] for name, points in series.items()}, colours)
        for i, (title, series) in enumerate(diagrams)
    )
    legend = "".join(f'<text x="{LEFT + 130 * i}" y="20" fill="{colour}">{name}</text>' for i, (name, colour) in enumerate(colours.items()))
    width, height = LEFT + len(diagrams) * (WIDTH + GAP), TOP + HEIGHT + 50
    (env.ROOT / "docs" / file).write_text(
        f"<!-- SPDX-License-Identifier: MIT OR Apache-2.0; drawn by tools/{tool} -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{width}" height="{height}" fill="#fff"/>\n{legend}\n{body}\n</svg>\n'
    )
