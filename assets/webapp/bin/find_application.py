"""Finds the {{ locals.kind | upper }} application in the directory of the sources. Written by bringup."""
import importlib
import os


def modules():
    # Django: the package of the project, beside manage.py.
    if os.path.isfile("manage.py"):
        for name in sorted(os.listdir(".")):
            if os.path.isfile(os.path.join(name, "{{ locals.kind }}.py")):
                yield name + ".{{ locals.kind }}"
    for name in ("{{ locals.kind }}", "app", "main", "application"):
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
        "no {{ locals.kind | upper }} application in %s (looked in: %s): name it in the answer application.module, such as shop.{{ locals.kind }}:application"
        % (os.getcwd(), ", ".join(tried) or "no {{ locals.kind }}.py, app.py, main.py or application.py")
    )


application = find()
