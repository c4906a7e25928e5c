# Runs inside the worker: loads the user's function once and calls it for every request.
#
# Requests come on descriptor 3, replies go out on descriptor 4, each a frame: four bytes of length
# (little endian), then JSON. Standard output and error belong to the user. They are flushed before each
# reply: that order is what the daemon's flush barrier rests on. User code runs on the main thread, as it
# would in a program of its own. Python 3.6 will do, because functions of the cloud are old.
import os
import sys


def run():
    import json

    handler, function_name, result_limit = sys.argv[1:4]
    stem, _, name = handler.rpartition('.')
    folder = os.getcwd()
    file = os.path.join(folder, stem + '.py')
    text_limit = 64 * 1024
    process = os.getpid()
    main = None  # the user's handler, once loaded
    loop = None  # the event loop of `async def` handlers, kept so that connections survive from call to call

    class Context(dict):
        """The context of a call: a dict, as in the cloud, whose entries are attributes as well."""

        def __getattr__(self, key):
            try:
                return self[key]
            except KeyError:
                raise AttributeError(key) from None

    def leave_no_trace():
        # Whatever user code starts must not hold the conversation open.
        for descriptor in (3, 4):
            os.set_inheritable(descriptor, False)
        # The folder stays as it was deployed: compiled files would make a new version of the function.
        sys.dont_write_bytecode = True
        sys.argv[:] = [file]
        # `-c` puts the folder first as '', which would follow every chdir.
        if sys.path and sys.path[0] == '':
            sys.path[0] = folder
        else:
            sys.path.insert(0, folder)
        for stream in (sys.stdout, sys.stderr):
            # Lines are shown as they come; Python would keep them back until there are 8 KiB of them.
            if hasattr(stream, 'reconfigure'):
                stream.reconfigure(encoding='utf-8', errors='backslashreplace', line_buffering=True)

    def read(size):
        parts = []
        while size > 0:
            part = os.read(3, min(size, 1 << 20))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b''.join(parts)

    def next_request():
        head = read(4)
        body = head and read(int.from_bytes(head, 'little'))
        return body and json.loads(body.decode('utf-8'))

    def frame(data):
        whole = memoryview(len(data).to_bytes(4, 'little') + data)
        while whole:
            whole = whole[os.write(4, whole):]

    def flush():
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except Exception:
                pass  # replaced by something that cannot, or closed

    def reply(message):
        flush()
        if os.getpid() != process:
            os._exit(0)  # a fork of user code's that came back from the handler
        frame(json.dumps(message).encode('ascii'))

    # One line for people, and the lines below it.
    def describe(error):
        import traceback

        try:
            message = ''.join(traceback.format_exception_only(type(error), error)).strip()
            lines = traceback.format_exception(type(error), error, error.__traceback__)
        except Exception:
            message = type(error).__name__ + ': an error that cannot be shown'
            lines = []
        detail = ''.join(part for part in lines if not part.startswith('  File "gulou"'))[-text_limit:].splitlines()
        # A syntax error's message has several lines, of which the last says it.
        rest = message[:text_limit].splitlines() or ['']
        first = rest[0] if not isinstance(error, SyntaxError) else rest[-1]
        if isinstance(error, SyntaxError) and error.filename:
            first += ' (%s, line %s)' % (error.filename, error.lineno)
        if detail and detail[0] == 'Traceback (most recent call last):':
            detail = detail[1:]
        if detail and detail[-1] == first:
            detail.pop()
        return {'message': first[:1000], 'detail': detail}

    # What is recorded of a return value: why not, and its JSON.
    def encoded(value):
        unrecorded = None
        data = b'null'
        try:
            data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode('utf-8')
        except Exception as error:
            unrecorded = 'it is no JSON: ' + describe(error)['message']
        if len(data) > int(result_limit):
            unrecorded = 'it is %d bytes of JSON, and %s are recorded' % (len(data), result_limit)
            data = b'null'
        return unrecorded, data

    def threw(error):
        reply({'threw': dict(describe(error), worker_is_good=main is not None)})

    def load():
        from importlib.util import module_from_spec, spec_from_file_location

        module_name = stem.replace('/', '.')
        spec = spec_from_file_location(module_name, file)
        module = module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
        # A logger without handlers shows what its level lets through, as in the cloud.
        if 'logging' in sys.modules:
            sys.modules['logging'].lastResort.setLevel(0)
        function = getattr(module, name, None)
        if not callable(function):
            names = [each for each in vars(module) if callable(getattr(module, each)) and not each.startswith('_')]
            raise AttributeError('%s has no function %s; it has %s' % (file, name, ', '.join(names) or 'nothing'))
        return function

    def finish(value):
        nonlocal loop
        import asyncio

        if loop is None or loop.is_closed():
            loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)

        async def wait():
            return await value

        return loop.run_until_complete(wait())

    def invoke(event, context):
        nonlocal main
        reply({'started': {}})
        try:
            if main is None:
                main = load()
            value = main(event, Context(context))
            if hasattr(value, '__await__'):
                value = finish(value)
        except SystemExit as end:
            code = end.code
            if code is None:
                code = 0
            elif not isinstance(code, int):
                print(code, file=sys.stderr)
                code = 1
            reply({'exiting': {'code': code}})
            # The user's code meant to end; its threads must not keep the process.
            flush()
            os._exit(code & 0xff)
        except ModuleNotFoundError as error:
            error.msg = '%s (run `pip install --target %s` or put the module there)' % (error, folder)
            threw(error)
        except BaseException as error:
            threw(error)
        else:
            unrecorded, data = encoded(value)
            # Before the daemon hears of the end: what the value takes is no matter of the next call.
            value = None
            reply({'returned': {'unrecorded': unrecorded}})
            frame(data)

    leave_no_trace()
    reply({'ready': {}})
    while True:
        request = next_request()
        if request is None:
            # The daemon wants no more, or is gone; threads must not keep the process.
            flush()
            os._exit(0)
        invoke(request['event'], request['context'])


run()
