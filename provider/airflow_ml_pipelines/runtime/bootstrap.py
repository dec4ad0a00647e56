"""Starts a script as ``__main__`` with the stand-ins behind every installed package.

Runs in the user's interpreter: ``python bootstrap.py SCRIPT ARGUMENT…``. A thread waits at the pipe that
``ML_PIPELINES_WATCH`` names; its end means that the launcher has died, and ends the whole process group.
"""

import os
import sys


def _watch(descriptor):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    import _thread
    import signal

    os.set_inheritable(descriptor, False)

    def wait(read=os.read, end=os.killpg):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        try:
            read(descriptor, 1)
        finally:
            end(0, signal.SIGKILL)

    _thread.start_new_thread(wait, ())


def _run():  # type: ignore[no-untyped-def] # noqa: ANN202
    descriptor = os.environ.pop("ML_PIPELINES_WATCH", None)
    if descriptor is not None:
        _watch(int(descriptor))
    here = os.path.dirname(os.path.abspath(__file__))
    script = os.path.abspath(sys.argv[1])
    # at the end: an installed package comes before its stand-in. Children of multiprocessing inherit the path.
    sys.path[0] = os.path.dirname(script)
    sys.path.append(os.path.join(here, "standin"))
    sys.argv = sys.argv[1:]
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    names = sys.modules["__main__"].__dict__
    builtins, hook, leave = __builtins__, sys.excepthook, sys.exit  # the names are about to go
    names.clear()
    names.update(__name__="__main__", __file__=script, __builtins__=builtins, __spec__=None, __loader__=None)
    names.update(__package__=None, __cached__=None, __doc__=None)
    return code, names, hook, leave


def _main(code, names, hook, leave):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    try:
        exec(code, names)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__ and error.__traceback__.tb_next  # without the frames of this file
        hook(type(error), error.with_traceback(trace), trace)
        leave(1)


if __name__ == "__main__":
    (lambda main, run: main(*run()))(_main, _run)
