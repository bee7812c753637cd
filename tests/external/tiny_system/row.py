"""What the entry point `symjax.systems` of this package names: one row, whose parts are imported when they are used."""

from symjax.systems import Entry, Row


def _task(config, train, val):
    from tiny_system.task import TinyTask

    return TinyTask(config, train, val)


def _system():
    from tiny_system.system import Tiny

    return Tiny()


ROW = Row("tiny", {"tiny": Entry(_task)}, _system, config="tiny_system/config.py")
