"""A report for people: the table on screen (`text`), the page (`html`) and its pictures (`plots`), all from the plain report dict.

`reading` says what the dict holds and how numbers and names are written; the same everywhere.
"""

from symjax.evaluate.report.files import REPORTS, write_report
from symjax.evaluate.report.text import show

__all__ = ["REPORTS", "show", "write_report"]
