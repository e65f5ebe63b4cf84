from importlib.metadata import version

from flask import Flask

from notes.words import greeting

app = Flask(__name__)


@app.route("/")
def home():
    names = ("flask", "click", "werkzeug")
    return greeting() + " ".join(name + "==" + version(name) for name in names) + "\n"
