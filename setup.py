"""Packages of the wheel; all else stands in pyproject.toml.

configs/ and experiments/ travel as symjax.configs and symjax.experiments.
"""

from setuptools import find_namespace_packages, setup

FOLDERS = ("configs", "experiments")
beside = find_namespace_packages(include=[pattern for f in FOLDERS for pattern in (f, f"{f}.*")])

setup(
    packages=[*find_namespace_packages(include=["symjax", "symjax.*"]), *(f"symjax.{name}" for name in beside)],
    package_dir={f"symjax.{folder}": folder for folder in FOLDERS},
)
