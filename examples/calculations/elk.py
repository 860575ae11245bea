#!/usr/bin/env python3
"""A calculation with Elk (Debian's elk-lapw), for CALCULATION_COMMAND or CALCULATION_PROGRAM.

Reads input.xml in the directory where it starts, in the words of exciting's input files as far as the ground state
needs them; writes elk.in, runs Elk, prints the total energy of each iteration, and writes info.xml.

    <input>
      <title>Aluminium</title>
      <structure>
        <crystal scale="3.8267">
          <basevect>1 1 0</basevect> <basevect>1 0 1</basevect> <basevect>0 1 1</basevect>
        </crystal>
        <species speciesfile="Al.xml"> <atom coord="0 0 0"/> </species>
      </structure>
      <groundstate ngridk="2 2 2"/>
    </input>
"""

import math
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

ELK = os.environ.get("ELK", "elk-lapw")
SPECIES = os.environ.get("ELK_SPECIES", "/usr/share/elk-lapw/species/")
#: Elk appends a line with the total energy, in hartree, for each iteration.
ENERGIES = "TOTENERGY.OUT"


def main():
    root = ET.parse("input.xml").getroot()  # noqa: S314 - the server lets no entities through
    with open("elk.in", "w", encoding="ascii") as file:
        file.write(elk_input(root))
    energies = run()
    info(energies).write("info.xml", encoding="utf-8", xml_declaration=True)


def elk_input(root):
    """The text of elk.in. Only numbers and names of elements of the input get into it."""
    crystal = found(root, "structure/crystal")
    vectors = [numbers(one.text, 3, "basevect") for one in crystal.findall("basevect")]
    if len(vectors) != 3:
        sys.exit("input.xml: structure/crystal: expected three basevect")
    species = root.findall("structure/species")
    if not species:
        sys.exit("input.xml: structure: expected species")
    grid = [str(round(one)) for one in numbers(found(root, "groundstate").get("ngridk"), 3, "ngridk")]
    atoms = [str(len(species))]
    for one in species:
        name = re.fullmatch(r"([A-Z][a-z]?)\.(xml|in)", one.get("speciesfile", ""))
        if name is None:
            sys.exit("input.xml: species: expected a speciesfile such as Al.xml")
        places = [numbers(atom.get("coord"), 3, "coord") for atom in one.findall("atom")]
        atoms += [f"'{name[1]}.in'", str(len(places)), *(f"{line(place)}  0.0 0.0 0.0" for place in places)]
    blocks = {
        "tasks": ["0"],
        "scale": numbers(crystal.get("scale", "1"), 1, "scale"),
        "avec": [line(vector) for vector in vectors],
        "sppath": [f"'{SPECIES}'"],
        "atoms": atoms,
        "ngridk": [" ".join(grid)],
    }
    # Each block ends with an empty line.
    return "".join(f"{name}\n" + "".join(f"  {row}\n" for row in rows) + "\n" for name, rows in blocks.items())


def found(root, path):
    """The element at a path."""
    element = root.find(path)
    if element is None:
        sys.exit(f"input.xml: expected {path}")
    return element


def numbers(text, count, name):
    """So many finite numbers."""
    try:
        values = [float(word) for word in (text or "").split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        sys.exit(f"input.xml: {name}: expected {count} numbers (it is {text!r})")
    return values


def line(values):
    return " ".join(f"{value:.10f}" for value in values)


def run():
    """Run Elk, and answer the total energy of each iteration."""
    energies = []
    process = subprocess.Popen([ELK])
    while True:
        ended = process.poll() is not None
        for energy in read_energies()[len(energies) :]:
            energies.append(energy)
            print(f"iteration {len(energies)}: total energy {energy:.9f}", flush=True)
        if ended:
            break
        time.sleep(0.2)
    if process.returncode or not energies:
        sys.exit(f"Elk ended with exit code {process.returncode}, and wrote {len(energies)} total energies")
    return energies


def read_energies():
    """The total energies that there are by now, without a line that is being written."""
    try:
        with open(ENERGIES, encoding="ascii") as file:
            return [float(row) for row in file if row.endswith("\n") and row.strip()]
    except FileNotFoundError:
        return []


def info(energies):
    root = ET.Element("info")
    groundstate = ET.SubElement(root, "groundstate", status="finished", totalEnergy=f"{energies[-1]:.9f}")
    scl = ET.SubElement(groundstate, "scl")
    for number, energy in enumerate(energies, 1):
        iteration = ET.SubElement(scl, "iter", iteration=str(number))
        ET.SubElement(iteration, "energies", totalEnergy=f"{energy:.9f}")
    return ET.ElementTree(root)


if __name__ == "__main__":
    main()
