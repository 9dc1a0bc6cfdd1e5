"""Readers of what CGRateS users have: tariff folders of CSV files, and console lines."""

from __future__ import annotations

from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.config.cgrates.console import EXAMPLE, parse_cost_line
from trunkline.config.cgrates.csvfolder import (
    Line,
    Loaded,
    LoadReport,
    compile_lines,
    folder_size,
    load_folder,
    load_lines,
)
from trunkline.config.cgrates.problems import Place, Problem, TariffErrors
from trunkline.config.cgrates.writing import write_folder
from trunkline.rating.times import parse_time

__all__ = [
    "EXAMPLE",
    "ChargingRows",
    "Line",
    "LoadReport",
    "Loaded",
    "Place",
    "Problem",
    "TariffErrors",
    "TariffPlan",
    "compile_lines",
    "folder_size",
    "load_folder",
    "load_lines",
    "parse_cost_line",
    "parse_time",
    "write_folder",
]
