/**
 * The Python side of the locked engine: compiles cells, shows values, explains errors.
 *
 * The cells themselves are run by JavaScript through CPython's C interface (`PyEval_EvalCode`), so no frame of this
 * module lies under a cell, and whether a cell succeeded is not for this module to say.
 */

/** Where the driver and JavaScript meet: a character device, opened and then unlinked. */
export const deviceFd = 3

/** Imported before the snapshot is made: what most programs import, so that they find it loaded. */
const preload = `abc argparse array ast asyncio base64 bisect calendar cmath collections contextlib copy csv dataclasses
datetime decimal difflib enum fractions functools gc glob hashlib heapq hmac html importlib inspect io itertools json
keyword linecache locale logging math numbers operator os pathlib pickle platform pprint queue random re secrets
shlex shutil signal stat statistics string struct sys tempfile textwrap threading time timeit tokenize traceback types
typing unicodedata unittest urllib.parse uuid warnings weakref zlib`

/** Source of the module `_holdfast`. */
export const source = `
import ast, asyncio, base64, builtins, gc, importlib, inspect, io, json, linecache, os, random, sys, time, traceback
import types
from asyncio import base_events

for _name in """${preload}""".split():
    importlib.import_module(_name)

# Undoes Pyodide's own asyncio.run, which needs JavaScript. Here, because it costs a tenth of a second.
importlib.reload(asyncio.runners)
asyncio.run, asyncio.Runner = asyncio.runners.run, asyncio.runners.Runner

DEVICE = ${deviceFd}
TEXT_LIMIT = 64 * 1024
JSON_LIMIT = 1024 * 1024
_write, _dumps, _loads, _monotonic, _compile = os.write, json.dumps, json.loads, time.monotonic, compile
AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
contexts = {}
base_env = {}

def pause(seconds):
    if not isinstance(seconds, (int, float)):
        seconds = float(seconds)
    if seconds != seconds:
        raise ValueError("Invalid value NaN (not a number)")
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    end = _monotonic() + seconds
    while True:
        left = end - _monotonic()
        if left <= 0:
            return
        _write(DEVICE, b"S%d" % (min(left, 1.0) * 1000 + 0.999))

def sleep(seconds, /):
    """Delay execution for a given number of seconds."""
    pause(seconds)
sleep.__module__ = "time"

class _Selector:
    def select(self, timeout):
        if timeout is None:
            pause(3600.0)
        elif timeout > 0:
            pause(timeout)
        return []

class Loop(base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self._selector = _Selector()
    def _process_events(self, events):
        pass
    def _write_to_self(self):
        pass
    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

class _Policy(asyncio.events._AbstractEventLoopPolicy if hasattr(asyncio.events, "_AbstractEventLoopPolicy") else object):
    _loop = None
    def get_event_loop(self):
        if self._loop is None:
            raise RuntimeError("There is no current event loop")
        return self._loop
    def set_event_loop(self, loop):
        self._loop = loop
    def new_event_loop(self):
        return Loop()

_cell_loop = None

def drive(coroutine):
    global _cell_loop
    if _cell_loop is None or _cell_loop.is_closed():
        _cell_loop = Loop()
    asyncio.events._event_loop_policy.set_event_loop(_cell_loop)
    return _cell_loop.run_until_complete(coroutine)

def _text(value):
    try:
        text = repr(value)
        if not isinstance(text, str):
            text = "<repr is no string>"
    except BaseException as error:
        text = "<%s: repr failed with %s>" % (type(value).__name__, type(error).__name__)
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "... (%d more)" % (len(text) - TEXT_LIMIT)

_RICH = (("text/html", "_repr_html_"), ("text/markdown", "_repr_markdown_"), ("image/svg+xml", "_repr_svg_"),
         ("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_"), ("text/latex", "_repr_latex_"))

def _add(bundle, mime, data):
    if isinstance(data, (bytes, bytearray)):
        data = base64.b64encode(data).decode("ascii")
    elif not isinstance(data, str):
        data = _dumps(data)
    if len(data) <= JSON_LIMIT:
        bundle[str(mime)] = data

def bundle(value):
    out = {}
    kind = type(value)
    if kind in (dict, list, tuple, str, int, float, bool):
        try:
            if kind not in (dict, list, tuple, str) or len(value) <= 100_000:
                _add(out, "application/json", _dumps(value, allow_nan=False))
        except BaseException:
            pass
    elif kind is not type:
        try:
            found = value._repr_mimebundle_() if hasattr(kind, "_repr_mimebundle_") else {}
            for mime, data in (found[0] if isinstance(found, tuple) else found).items():
                _add(out, mime, data)
        except BaseException:
            pass
        for mime, method in _RICH:
            if mime not in out and hasattr(kind, method):
                try:
                    data = getattr(value, method)()
                    if data is not None:
                        _add(out, mime, data)
                except BaseException:
                    pass
    out["text/plain"] = _text(value)
    return out

def display(*values):
    for value in values:
        _write(DEVICE, b"R" + _dumps(bundle(value)).encode("ascii"))

def show(value):
    if value is not None:
        builtins._ = value
        display(value)

def context(number):
    """Variables of their own; whichever runs is __main__, as pickle and dataclasses want it."""
    if number not in contexts:
        contexts[number] = types.ModuleType("__main__")
        contexts[number].__builtins__ = builtins
    sys.modules["__main__"] = contexts[number]
    return vars(contexts[number])

def prepare(request):
    request = _loads(request)
    os.environ.clear()
    os.environ.update(base_env)
    os.environ.update(request["env"])
    if not request["cwd"]:
        os.makedirs("/home/user", exist_ok=True)
    os.chdir(request["cwd"] or "/home/user")
    name = "<cell %d>" % request["id"]
    code = request["code"]
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    tree = _compile(code, name, "exec", ast.PyCF_ONLY_AST | AWAIT, True)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    steps = []
    for node, mode in ((tree, "exec"), (last, "eval")):
        if node is None or (mode == "exec" and not tree.body):
            steps += [None, False]
        else:
            step = _compile(node, name, mode, AWAIT, True)
            steps += [step, bool(step.co_flags & inspect.CO_COROUTINE)]
    return [*steps, context(request["context"])]

def _strip(error, seen):
    if error is None or id(error) in seen or len(seen) > 1000:
        return
    seen.add(id(error))
    at = error.__traceback__
    while at is not None and not at.tb_frame.f_code.co_filename.startswith("<cell "):
        at = at.tb_next
    error.__traceback__ = at
    _strip(error.__cause__, seen)
    _strip(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            _strip(inner, seen)

def _cut(text):
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT // 2] + "\\n...\\n" + text[-TEXT_LIMIT // 2:]

def explain(error):
    name, value, trace, code = type(error).__name__, "", "", 1
    try:
        value = str(error)
    except BaseException:
        value = "<str failed>"
    try:
        _strip(error, set())
        trace = "".join(traceback.format_exception(error))
    except BaseException:
        trace = "%s: %s\\n" % (name, value)
    if isinstance(error, SystemExit):
        status = error.code
        if status is None:
            code = 0
        elif isinstance(status, int):
            code = int(status) & 0xFF
        elif sys.stderr is not None:
            print(status, file=sys.stderr)
    return _dumps({"name": str(name), "value": _cut(str(value)), "traceback": _cut(trace), "exitCode": code})

def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass

_GONE = ("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core", "_pyodide_base", "micropip", "ctypes", "_ctypes",
         "webbrowser")

def start(request):
    """Before the lock closes: fresh randomness, our own streams and loop, and no way to JavaScript by name."""
    request = _loads(request)
    sys.meta_path[:] = [f for f in sys.meta_path if not (type(f).__module__ or "").startswith(("_pyodide", "pyodide"))]
    for name in list(sys.modules):
        if name.split(".")[0] in _GONE:
            del sys.modules[name]
    for name in _GONE:
        sys.modules[name] = None
    for name in ("_pyodide_core", "_ctypes"):
        sys.builtin_module_names = tuple(n for n in sys.builtin_module_names if n != name)
    sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__
    sys.argv = [""]
    sys.executable = sys._base_executable = ""
    asyncio.events._event_loop_policy = _Policy()
    asyncio.events._set_running_loop(None)
    time.sleep = sleep
    random.seed(int.from_bytes(os.urandom(32)))
    # A program may hold these names from before: one stream each, line by line, never failing on a character.
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), "utf-8", "replace")
    out = io.BufferedWriter(io.FileIO(1, "w", closefd=False), 8192)
    err = io.BufferedWriter(io.FileIO(2, "w", closefd=False), 8192)
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(out, "utf-8", "backslashreplace", line_buffering=True)
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(err, "utf-8", "backslashreplace", line_buffering=True)
    base_env.update({"HOME": "/home/user", "LANG": "C.UTF-8", "TZ": "UTC", "PATH": "", "USER": "user"})
    base_env.update(request["env"])
    os.environ.clear()
    os.environ.update(base_env)
    os.makedirs("/home/user", exist_ok=True)
    os.chdir("/home/user")
    sys.path[:] = [p for p in sys.path if p.startswith("/lib")]
    sys.path.insert(0, "")
    builtins.display = display
    context(0)
    gc.freeze()
    return True
`
