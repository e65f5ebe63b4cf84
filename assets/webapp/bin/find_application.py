"""Finds the {{ locals.kind | upper }} application in the directory of the sources. Written by bringup."""
import importlib
import os
import sys

NAMES = ("{{ locals.kind }}", "app", "main", "application")


def modules():
    # Packages are below src where the launcher made it a place for them.
    tops = [top for top in (".", "src") if top == "." or os.path.abspath(top) in sys.path]
    # Django: the package of the project, beside manage.py.
    if os.path.isfile("manage.py"):
        for top in tops:
            for name in sorted(os.listdir(top)):
                if os.path.isfile(os.path.join(top, name, "{{ locals.kind }}.py")):
                    yield name + ".{{ locals.kind }}"
    for name in NAMES:
        if os.path.isfile(name + ".py") or os.path.isfile(os.path.join(name, "__init__.py")):
            yield name
    # As FastAPI's own examples have it.
    if os.path.isfile(os.path.join("app", "main.py")):
        yield "app.main"
    for top in tops[1:]:
        for package in sorted(os.listdir(top)):
            for name in NAMES:
                if os.path.isfile(os.path.join(top, package, name + ".py")):
                    yield package + "." + name


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
        "no {{ locals.kind | upper }} application in %s (looked in: %s): name it in the answer application.module, such as shop.{{ locals.kind }}:application"
        % (os.getcwd(), ", ".join(tried) or "no {{ locals.kind }}.py, app.py, main.py or application.py")
    )


application = find()
