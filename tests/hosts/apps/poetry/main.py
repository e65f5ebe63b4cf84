from importlib.metadata import version

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def home(request):
    names = ("starlette", "uvicorn", "anyio")
    return PlainTextResponse("release one " + " ".join(name + "==" + version(name) for name in names) + "\n")


app = Starlette(routes=[Route("/", home)])
