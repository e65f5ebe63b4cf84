# Read by the tools of weblab-admin. Written by bringup: there are no debugging ports here.
SERVERS = []
BASE_URL = ''
PORTS = {
    'json': {{ locals.core_ports | json }},
}
