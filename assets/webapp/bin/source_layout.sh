# A project may have its packages below src. Modules there would come before those of Python with the same names.
if [ -f pyproject.toml ] && [ -d src ] && ! ls src/*.py >/dev/null 2>&1; then
    PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}
    export PYTHONPATH
fi
