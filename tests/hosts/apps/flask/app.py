from flask import Flask
app = Flask(__name__)
app.route("/")(lambda: "three lines\n")
