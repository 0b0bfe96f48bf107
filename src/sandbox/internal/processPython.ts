/**
 * The Python of a session: a driver that reads runs, keeps their variables, shows values and explains errors.
 *
 * It runs in the process that runs the code, as every interpreter's read-eval-print loop does. What it says of a run's
 * end counts only with that run's seal, which waits unread in the kernel's buffer until the code is over: printing,
 * raising, and looking through frames and objects do not find it. Code that reads the descriptor itself can.
 */

/** Source of the driver, for `python3 -c`; CPython 3.8 and later. */
export const source = `
import ast, asyncio, base64, builtins, inspect, io, json, linecache, os, signal, sys, traceback, types

IN, OUT, PID = 3, 4, os.getpid()
TEXT_LIMIT, JSON_LIMIT = 64 * 1024, 1024 * 1024
AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
for _fd in (IN, OUT):
    os.set_inheritable(_fd, False)

def receive(size, _read=os.read, _exit=os._exit):
    parts = []
    while size > 0:
        part = _read(IN, size)
        if not part:
            _exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)

def send(data, _write=os.write):
    data = memoryview(data)
    while data:
        data = data[_write(OUT, data):]

def text(value):
    try:
        shown = repr(value)
    except BaseException as error:
        shown = "<%s: repr failed with %s>" % (type(value).__name__, type(error).__name__)
    return shown if len(shown) <= TEXT_LIMIT else shown[:TEXT_LIMIT] + "... (%d more)" % (len(shown) - TEXT_LIMIT)

RICH = (("text/html", "_repr_html_"), ("text/markdown", "_repr_markdown_"), ("image/svg+xml", "_repr_svg_"),
        ("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_"), ("text/latex", "_repr_latex_"))

def add(bundle, mime, data):
    if isinstance(data, (bytes, bytearray)):
        data = base64.b64encode(data).decode("ascii")
    elif not isinstance(data, str):
        data = json.dumps(data)
    if len(data) <= JSON_LIMIT:
        bundle[str(mime)] = data

def rich(value, bundle):
    kind = type(value)
    if kind in (dict, list, tuple, str, int, float, bool):
        if kind not in (dict, list, tuple, str) or len(value) <= 100000:
            add(bundle, "application/json", json.dumps(value, allow_nan=False))
        return
    if kind is type:
        return
    found = value._repr_mimebundle_() if hasattr(kind, "_repr_mimebundle_") else {}
    for mime, data in (found[0] if isinstance(found, tuple) else found).items():
        add(bundle, mime, data)
    for mime, method in RICH:
        if mime not in bundle and hasattr(kind, method):
            data = getattr(value, method)()
            if data is not None:
                add(bundle, mime, data)

def display(*values):
    for value in values:
        bundle = {}
        try:
            rich(value, bundle)
        except (Exception, SystemExit):
            pass
        bundle["text/plain"] = text(value)
        send(b"R" + json.dumps(bundle).encode("ascii") + b"\\n")

def strip(error, seen):
    if error is None or id(error) in seen or len(seen) > 1000:
        return
    seen.add(id(error))
    at = error.__traceback__
    while at is not None and not at.tb_frame.f_code.co_filename.startswith("<cell "):
        at = at.tb_next
    error.__traceback__ = at
    for inner in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        strip(inner if isinstance(inner, BaseException) else None, seen)

def cut(text):
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT // 2] + "\\n...\\n" + text[-TEXT_LIMIT // 2:]

def explain(error):
    name, value, code = type(error).__name__, "", 1
    try:
        value = str(error)
    except BaseException:
        value = "<str failed>"
    try:
        strip(error, set())
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException:
        trace = "%s: %s\\n" % (name, value)
    if isinstance(error, SystemExit):
        if error.code is None:
            code = 0
        elif isinstance(error.code, int):
            code = int(error.code) & 0xFF
        else:
            print(error.code, file=sys.stderr)
    return {"name": name, "value": cut(value), "traceback": cut(trace)}, code

loop = None

def drive(coroutine):
    global loop
    if loop is None or loop.is_closed():
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():
            task.cancel()
            try:
                loop.run_until_complete(task)
            except BaseException:
                pass
        raise

def step(node, name, mode):
    code = compile(node, name, mode, AWAIT, True)
    value = eval(code, vars(main))
    return drive(value) if code.co_flags & inspect.CO_COROUTINE else value

def execute(request):
    code, name = request["code"], "<cell %d>" % request["id"]
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    tree = compile(code, name, "exec", ast.PyCF_ONLY_AST | AWAIT, True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if tree.body:
        step(tree, name, "exec")
    if last is not None:
        value = step(ast.Expression(last.value), name, "eval")
        if value is not None:
            builtins._ = value
            display(value)

handler = signal.default_int_handler

def deaf(_set=signal.signal, _signal=signal.SIGINT, _ignore=signal.SIG_IGN):
    """An interrupt that comes late meets nobody."""
    global handler
    while True:
        try:
            now = _set(_signal, _ignore)
            if now is not _ignore and now is not None:
                handler = now
            return
        except BaseException:
            continue

def run(request):
    saved = {key: os.environ.get(key) for key in request["env"]}
    error = None
    try:
        try:
            os.environ.update(request["env"])
            os.chdir(request["cwd"])
            signal.signal(signal.SIGINT, handler)
            execute(request)
        finally:
            deaf()
    except BaseException as raised:
        deaf()
        error = raised
    for key, value in saved.items():
        os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
    return error

def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass

def serve(dumps=json.dumps, loads=json.loads, send=send, _getpid=os.getpid, _exit=os._exit):
    while True:
        error = run(loads(receive(int(receive(8), 16))))
        sign = b"+" if error is None else b"-"
        verdict = {"exitCode": 0}
        if error is not None:
            told, code = explain(error)
            verdict = {"exitCode": code, "error": told}
        del error
        flush()
        if _getpid() != PID:
            _exit(verdict["exitCode"])
        # The sign decides: it depends on nothing that a program replaces in passing.
        send(b"E" + receive(32) + sign + dumps(verdict).encode("ascii") + b"\\n")

deaf()
sys.argv = [""]
sys.path.insert(0, "")
sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
builtins.display = display
main = types.ModuleType("__main__")
main.__builtins__ = builtins
sys.modules["__main__"] = main
serve()
`
