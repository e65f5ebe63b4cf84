"""Finds the WSGI application in the directory of the sources. Written by bringup."""
import importlib
import os


def modules():
    # Django: the package of the project, beside manage.py.
    if os.path.isfile("manage.py"):
        for name in sorted(os.listdir(".")):
            if os.path.isfile(os.path.join(name, "wsgi.py")):
                yield name + ".wsgi"
    for name in ("wsgi", "app", "main", "application"):
        if os.path.isfile(name + ".py") or os.path.isfile(os.path.join(name, "__init__.py")):
            yield name


def find():
    tried = []
    for name in modules():
        module = importlib.import_module(name)
        for attribute in ("application", "app"):
            if callable(getattr(module, attribute, None)):
                return getattr(module, attribute)
        for factory in ("create_app", "make_app"):
            if callable(getattr(module, factory, None)):
                return getattr(module, factory)()
        tried.append(name)
    raise RuntimeError(
        "no WSGI application in %s (looked in: %s): name it in the answer application.module, such as shop.wsgi:application"
        % (os.getcwd(), ", ".join(tried) or "no wsgi.py, app.py, main.py or application.py")
    )


application = find()
