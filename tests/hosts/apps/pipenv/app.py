from importlib.metadata import version

from flask import Flask

app = Flask(__name__)


@app.route("/")
def home():
    names = ("flask", "click", "itsdangerous")
    return "release one " + " ".join(name + "==" + version(name) for name in names) + "\n"
