"""Crystals for a page on which they turn: plain numbers for a small script that draws spheres and bars on a canvas.

The page needs nothing from elsewhere. What the script draws is decided here: atoms of the closed cell, bonds, edges, colours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.draw.render import ATOM_SCALE, bonds, with_boundary
from symjax.elements import SYMBOLS


def scene(cell: AtomicStructure) -> dict[str, Any]:
    """What is drawn of a crystal.

    Args:
        cell: the crystal.

    Returns:
        JSON values, angstrom, centred: ``atoms`` [x, y, z, atomic number], ``bonds`` [i, j] of atoms, ``cell`` the corners and
        ``edges`` [i, j] of corners.
    """
    from ase.data import covalent_radii

    x, z = with_boundary(cell)
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    middle = np.array([0.5, 0.5, 0.5]) @ cell.L
    points = x @ cell.L
    edges = [[i, j] for i, j in itertools.combinations(range(8), 2) if np.abs(corners[i] - corners[j]).sum() == 1]
    return {
        "atoms": [[*np.round(p - middle, 3).tolist(), int(number)] for p, number in zip(points, z)],
        "bonds": [list(pair) for pair in bonds(points, covalent_radii[z])],
        "cell": np.round(corners @ cell.L - middle, 3).tolist(),
        "edges": edges,
    }


def palette(cells: Sequence[AtomicStructure]) -> dict[str, Any]:
    """Atomic number -> symbol, colour and drawn radius of the elements that occur: the legend.

    Args:
        cells: the crystals.
    """
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    return {
        str(z): {
            "symbol": SYMBOLS[z],
            "color": [round(255 * float(part)) for part in jmol_colors[z]],
            "radius": round(ATOM_SCALE * float(covalent_radii[z]), 3),
        }
        for z in sorted({int(z) for cell in cells for z in cell.z})
        if 0 < z < min(len(SYMBOLS), len(covalent_radii))
    }


SCRIPT = """
"use strict";
function spin(canvas, scene, elements) {
  const context = canvas.getContext("2d");
  let yaw = -0.5, tilt = -1.2, zoom = 1, held = null;
  let reach = 0.1;
  for (const p of scene.cell) reach = Math.max(reach, Math.hypot(p[0], p[1], p[2]));
  for (const a of scene.atoms) reach = Math.max(reach, Math.hypot(a[0], a[1], a[2]) + elements[a[3]].radius);
  const turn = (p) => {
    const cy = Math.cos(yaw), sy = Math.sin(yaw), ct = Math.cos(tilt), st = Math.sin(tilt);
    const x = cy * p[0] - sy * p[1], y = sy * p[0] + cy * p[1], z = p[2];
    return [x, ct * y - st * z, st * y + ct * z];
  };
  const shade = (color, depth) => {
    const fade = 0.35 * (0.5 - 0.5 * depth / reach);
    return "rgb(" + color.map((c) => Math.round(c + (255 - c) * fade)).join(",") + ")";
  };
  function draw() {
    const size = canvas.width, scale = 0.46 * size * zoom / reach, middle = size / 2;
    const at = (q) => [middle + scale * q[0], middle + scale * q[1]];
    context.clearRect(0, 0, size, size);
    const corners = scene.cell.map(turn), atoms = scene.atoms.map(turn);
    const things = [];
    for (const [i, j] of scene.edges)
      things.push([(corners[i][2] + corners[j][2]) / 2, "line", corners[i], corners[j], [120, 126, 138], 0.03 * reach]);
    for (const [i, j] of scene.bonds) {
      const a = atoms[i], b = atoms[j], m = [0, 1, 2].map((k) => (a[k] + b[k]) / 2);
      things.push([(a[2] + m[2]) / 2 - 0.01, "line", a, m, elements[scene.atoms[i][3]].color, 0.14]);
      things.push([(b[2] + m[2]) / 2 - 0.01, "line", b, m, elements[scene.atoms[j][3]].color, 0.14]);
    }
    atoms.forEach((q, i) => things.push([q[2], "ball", q, null, elements[scene.atoms[i][3]].color,
      elements[scene.atoms[i][3]].radius]));
    things.sort((a, b) => a[0] - b[0]);
    for (const [depth, kind, p, q, color, width] of things) {
      const [x, y] = at(p);
      if (kind === "line") {
        const [u, v] = at(q);
        context.strokeStyle = shade(color, depth);
        context.lineWidth = Math.max(1, scale * width * (color[0] === 120 ? 0.25 : 1));
        context.beginPath(); context.moveTo(x, y); context.lineTo(u, v); context.stroke();
        continue;
      }
      const r = Math.max(1.5, scale * width);
      const light = context.createRadialGradient(x - 0.35 * r, y - 0.4 * r, 0.1 * r, x, y, r);
      light.addColorStop(0, shade(color.map((c) => c + 0.6 * (255 - c)), depth));
      light.addColorStop(0.5, shade(color, depth));
      light.addColorStop(1, shade(color.map((c) => 0.6 * c), depth));
      context.fillStyle = light;
      context.beginPath(); context.arc(x, y, r, 0, 2 * Math.PI); context.fill();
    }
  }
  canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    yaw -= 0.01 * (e.clientX - held[0]); tilt -= 0.01 * (e.clientY - held[1]);
    held = [e.clientX, e.clientY]; draw();
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom *= Math.exp(-0.001 * e.deltaY); draw(); },
    { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[e.key];
    if (step) { e.preventDefault(); yaw += step[0]; tilt += step[1]; draw(); }
  });
  draw();
}
"""
"""`spin(canvas, scene, elements)`: draws a scene and turns it by pointer, wheel and arrow keys."""
